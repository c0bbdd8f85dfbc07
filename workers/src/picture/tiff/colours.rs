//! What the samples of a TIFF mean.

use bytemuck::Pod;

/// A sample of 8 or 16 bits.
pub(super) trait Sample: Pod + Into<u32> {
    const MOST: u32;
    /// Of a number that is no larger than `MOST`.
    fn of(number: u16) -> Self;
}

impl Sample for u8 {
    const MOST: u32 = u8::MAX as u32;
    fn of(number: u16) -> Self {
        number as u8
    }
}

impl Sample for u16 {
    const MOST: u32 = u16::MAX as u32;
    fn of(number: u16) -> Self {
        number
    }
}

/// What a directory says of samples.
pub(super) struct Stored<'t> {
    /// PhotometricInterpretation.
    pub(super) photometric: u16,
    /// Of each pixel.
    pub(super) samples: u16,
    /// ExtraSamples: what those mean that are more than the colours need.
    pub(super) extra: Option<&'t [u16]>,
    pub(super) bits: u8,
    /// Whether JPEG is what packs them.
    pub(super) jpeg: bool,
}

/// What they are, and what they become.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Colours {
    /// 1 or 3 samples and perhaps alpha, which may be multiplied into them; others behind are left out.
    Plain { colours: usize, alpha: bool, multiplied: bool, white_is_zero: bool },
    /// A number of one of these.
    Palette(Vec<[u8; 3]>),
    /// Inks, to RGB.
    Cmyk,
    /// As JPEG has them, to RGB.
    Luma,
}

impl Colours {
    /// # Errors
    /// The name of what is not read here.
    pub(super) fn of(stored: &Stored<'_>, map: Option<Vec<u16>>) -> Result<Self, String> {
        let Stored { photometric, samples, extra, bits, jpeg } = *stored;
        match (photometric, samples) {
            (0..=2, 0..=8) => {
                let colours = if photometric == 2 { 3 } else { 1 };
                let more = samples.checked_sub(colours).ok_or_else(|| format!("RGB with {samples} channels"))?;
                let first = extra.and_then(|extra| extra.first().copied());
                // What is behind gray and not explained has ever been alpha; behind RGB only where nothing is said.
                let alpha = more > 0 && matches!((first, colours), (Some(1 | 2) | None, _) | (Some(0), 1));
                if colours == 1 && more > 1 {
                    return Err(format!("gray with {more} more channels"));
                }
                let multiplied = alpha && first == Some(1);
                Ok(Self::Plain { colours: colours.into(), alpha, multiplied, white_is_zero: photometric == 0 })
            }
            (3, 1) if bits <= 8 => {
                let map = map.ok_or("a palette without colours")?;
                let count = map.len() / 3;
                // Some have written bytes where words belong.
                let shift = if map.iter().any(|&word| word > 255) { 8 } else { 0 };
                let colour = |number| [0, 1, 2].map(|channel| (map[channel * count + number] >> shift) as u8);
                Ok(Self::Palette((0..count).map(colour).collect()))
            }
            (3, _) => Err(format!("a palette with {samples} samples of {bits} bits")),
            (4, _) => Err("a transparency mask".to_owned()),
            (5, 4) if bits >= 8 => Ok(Self::Cmyk),
            (5, _) => Err(format!("inks in {samples} channels of {bits} bits")),
            (6, 3) if jpeg && bits == 8 => Ok(Self::Luma),
            (6, _) => Err("YCbCr colours that are not packed as JPEG".to_owned()),
            (8..=10, _) => Err("L*a*b* colours".to_owned()),
            (0..=2, _) => Err(format!("{samples} channels")),
            _ => Err(format!("photometric interpretation {photometric}")),
        }
    }

    /// Of the picture.
    pub(super) fn channels(&self) -> usize {
        match *self {
            Self::Plain { colours, alpha, .. } => colours + usize::from(alpha),
            Self::Palette(_) | Self::Cmyk | Self::Luma => 3,
        }
    }

    /// Pixels of so many samples of so many bits, to pixels of the picture.
    pub(super) fn convert<T: Sample>(&self, from: &[T], samples: usize, bits: u8, to: &mut [T]) {
        let pixels = from.chunks_exact(samples).zip(to.chunks_exact_mut(self.channels()));
        match self {
            Self::Plain { colours, multiplied, white_is_zero, .. } => {
                // The largest number of so many bits divides that of 8.
                let scale = if bits < 8 { (T::MOST / ((1 << bits) - 1)) as u16 } else { 1 };
                for (from, to) in pixels {
                    to.copy_from_slice(&from[..to.len()]);
                    if scale > 1 {
                        to.iter_mut().for_each(|sample| *sample = T::of((*sample).into() as u16 * scale));
                    }
                    if *white_is_zero {
                        to[..*colours]
                            .iter_mut()
                            .for_each(|sample| *sample = T::of((T::MOST - (*sample).into()) as u16));
                    }
                    if *multiplied {
                        straighten(to);
                    }
                }
            }
            Self::Palette(colours) => pixels.for_each(|(from, to)| {
                let colour = colours.get(from[0].into() as usize).copied().unwrap_or_default();
                to.iter_mut().zip(colour).for_each(|(to, value)| *to = T::of(value.into()));
            }),
            Self::Cmyk => pixels.for_each(|(from, to)| {
                let paper = u64::from(T::MOST - from[3].into());
                let light =
                    |ink: T| (u64::from(T::MOST - ink.into()) * paper + u64::from(T::MOST) / 2) / u64::from(T::MOST);
                to.iter_mut().zip(from).for_each(|(to, &ink)| *to = T::of(light(ink) as u16));
            }),
            Self::Luma => pixels.for_each(|(from, to)| {
                let [luma, blue, red] = [0, 1, 2].map(|channel| from[channel].into() as u8);
                let colour = crate::picture::ycbcr::to_rgb(luma, blue, red);
                to.iter_mut().zip(colour).for_each(|(to, value)| *to = T::of(value.into()));
            }),
        }
    }
}

/// Divides colours by alpha, the last.
fn straighten<T: Sample>(pixel: &mut [T]) {
    let Some((alpha, colours)) = pixel.split_last_mut() else { return };
    let alpha: u32 = (*alpha).into();
    if alpha == 0 || alpha == T::MOST {
        return;
    }
    for colour in colours {
        let number = (u64::from((*colour).into()) * u64::from(T::MOST) + u64::from(alpha) / 2) / u64::from(alpha);
        *colour = T::of(number.min(T::MOST.into()) as u16);
    }
}
