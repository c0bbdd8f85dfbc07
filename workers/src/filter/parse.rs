//! Filters as text, there and back: `name` or `name:parameter`.

use super::{Crop, Definition, FILTERS, Filter, FilterError, Flip, Size, Turn, convolve, median, window::MAX_RADIUS};
use std::{fmt, str::FromStr};

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Filter::Gaussian { sigma } => write!(f, "gaussian:{sigma}"),
            Filter::Box { radius } => write!(f, "box:{radius}"),
            Filter::Median { radius } => write!(f, "median:{radius}"),
            Filter::Sharpen => f.write_str("sharpen"),
            Filter::Sobel => f.write_str("sobel"),
            Filter::Gray => f.write_str("gray"),
            Filter::Invert => f.write_str("invert"),
            Filter::Brightness(by) => write!(f, "brightness:{by}"),
            Filter::Contrast(by) => write!(f, "contrast:{by}"),
            Filter::Gamma(gamma) => write!(f, "gamma:{gamma}"),
            Filter::Threshold(level) => write!(f, "threshold:{level}"),
            Filter::Equalize => f.write_str("equalize"),
            Filter::Resize(size) => write!(f, "resize:{size}"),
            Filter::Crop(crop) => write!(f, "crop:{crop}"),
            Filter::Flip(Flip::Vertical) => f.write_str("flip:vertical"),
            Filter::Flip(Flip::Horizontal) => f.write_str("flip:horizontal"),
            Filter::Rotate(Turn::Quarter) => f.write_str("rotate:90"),
            Filter::Rotate(Turn::Half) => f.write_str("rotate:180"),
            Filter::Rotate(Turn::ThreeQuarters) => f.write_str("rotate:270"),
        }
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let (name, parameter) = match text.split_once(':') {
            Some((name, parameter)) => (name, Some(parameter)),
            None => (text, None),
        };
        let Some(definition) = FILTERS.iter().find(|filter| filter.name == name) else {
            return Err(FilterError::UnknownFilter { name: name.to_owned(), nearest: nearest(name) });
        };
        let value = given(text, definition, parameter)?;
        let number = |meaning| number(text, value, meaning);
        let filter = match name {
            "gaussian" => Filter::Gaussian { sigma: number("sigma in pixels, as in gaussian:3")? },
            "box" => Filter::Box { radius: whole(text, value, "a whole number of pixels, as in box:2")? },
            "median" => Filter::Median { radius: whole(text, value, "a whole number of pixels, as in median:2")? },
            "sharpen" => Filter::Sharpen,
            "sobel" => Filter::Sobel,
            "gray" => Filter::Gray,
            "invert" => Filter::Invert,
            "brightness" => Filter::Brightness(number("8-bit levels to add, as in brightness:20")?),
            "contrast" => Filter::Contrast(number("a factor, as in contrast:1.5")?),
            "gamma" => Filter::Gamma(number("a number above 0, as in gamma:2.2")?),
            "threshold" => Filter::Threshold(number("an 8-bit level, as in threshold:128")?),
            "equalize" => Filter::Equalize,
            "resize" => Filter::Resize(Size::parse(value).ok_or_else(|| {
                misread(
                    text,
                    value,
                    "width x height in pixels, one of them, or percent: resize:800x600, 800x, x600 or 50%",
                )
            })?),
            "crop" => Filter::Crop(Crop::parse(value).ok_or_else(|| {
                misread(text, value, "width, height and where they begin, in pixels, as in crop:800x600+10+20")
            })?),
            "flip" => Filter::Flip(match value {
                "" | "vertical" => Flip::Vertical,
                "horizontal" => Flip::Horizontal,
                _ => return Err(misread(text, value, "flip:vertical (top to bottom) or flip:horizontal")),
            }),
            "rotate" => Filter::Rotate(match value {
                "90" => Turn::Quarter,
                "180" => Turn::Half,
                "270" => Turn::ThreeQuarters,
                _ => return Err(misread(text, value, "rotate:90, rotate:180 or rotate:270 (clockwise)")),
            }),
            _ => unreachable!("FILTERS has no '{name}'"),
        };
        filter.check()?;
        Ok(filter)
    }
}

impl Filter {
    /// Refuses parameters out of range, also where no text was read.
    pub(super) fn check(&self) -> Result<(), FilterError> {
        let refuse = |problem: String, remedy: String| {
            Err(FilterError::Parameter { what: format!("'{self}'"), problem, remedy })
        };
        match *self {
            Filter::Gaussian { sigma } if !(sigma > 0.0 && sigma <= convolve::MAX_SIGMA) => refuse(
                format!("has a sigma of {sigma}, which must be above 0 and at most {}", convolve::MAX_SIGMA),
                "Give sigma in pixels, as in gaussian:3".to_owned(),
            ),
            Filter::Box { radius } if !(1..=MAX_RADIUS).contains(&radius) => refuse(
                format!("has a radius of {radius}, which must be 1 to {MAX_RADIUS}"),
                "Give the pixels to each side of the middle one, as in box:2".to_owned(),
            ),
            Filter::Median { radius } if !(1..=median::MAX_RADIUS).contains(&radius) => refuse(
                format!("has a radius of {radius}, which must be 1 to {}", median::MAX_RADIUS),
                "Give the pixels to each side of the middle one, as in median:2".to_owned(),
            ),
            Filter::Gamma(gamma) if !(gamma > 0.0 && gamma.is_finite()) => refuse(
                format!("has a gamma of {gamma}, which must be above 0 and finite"),
                "Give a number above 1 to brighten or below 1 to darken, as in gamma:2.2".to_owned(),
            ),
            Filter::Brightness(value) | Filter::Contrast(value) | Filter::Threshold(value) if !value.is_finite() => {
                refuse(format!("has a value of {value}, which is not finite"), "Give a finite number".to_owned())
            }
            Filter::Resize(size) if !size.can_be() => refuse(
                format!("asks for {size}, where each number must be above 0 and pixels at most {}", u32::MAX),
                "Give pixels or percent, as in resize:800x600, resize:800x or resize:50%".to_owned(),
            ),
            Filter::Crop(Crop { width, height, .. }) if width.min(height) == 0 => refuse(
                format!("asks for {width} columns and {height} rows, which is nothing"),
                "Give at least one of each, as in crop:800x600+0+0".to_owned(),
            ),
            _ => Ok(()),
        }
    }
}

/// The parameter as given, empty if it may be left out; an error if it is missing or superfluous.
fn given<'a>(text: &str, filter: &Definition, parameter: Option<&'a str>) -> Result<&'a str, FilterError> {
    let Definition { name, parameter: wanted, .. } = *filter;
    let refuse = |problem: &str, remedy: String| {
        Err(FilterError::Parameter { what: format!("'{text}'"), problem: problem.to_owned(), remedy })
    };
    match parameter {
        Some(_) if wanted.is_empty() => {
            refuse("has a parameter, which this filter does not take", format!("Write {name}"))
        }
        Some("") => refuse("has nothing after the colon", format!("Write {name}:{wanted}")),
        None if !wanted.is_empty() && !wanted.starts_with('[') => {
            refuse("lacks its parameter", format!("Write {name}:{wanted}"))
        }
        value => Ok(value.unwrap_or_default()),
    }
}

/// Reads a finite number.
pub(super) fn number(text: &str, value: &str, remedy: &str) -> Result<f32, FilterError> {
    value.parse().ok().filter(|number: &f32| number.is_finite()).ok_or_else(|| misread(text, value, remedy))
}

fn whole(text: &str, value: &str, remedy: &str) -> Result<usize, FilterError> {
    value.parse().map_err(|_| misread(text, value, remedy))
}

fn misread(text: &str, value: &str, remedy: &str) -> FilterError {
    FilterError::Parameter {
        what: format!("'{text}'"),
        problem: format!("has '{value}' where something else must stand"),
        remedy: format!("Give {remedy}"),
    }
}

/// The filter whose name takes the fewest insertions, deletions and replacements to reach.
fn nearest(name: &str) -> &'static str {
    let closest = FILTERS.iter().min_by_key(|filter| distance(name, filter.name));
    closest.map_or("", |filter| filter.name)
}

/// Levenshtein's edit distance, one row of his table at a time.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (done, letter) in from.chars().enumerate() {
        let mut diagonal = above[0];
        above[0] = done + 1;
        for (n, &other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = above[n + 1];
            above[n + 1] = replaced.min(diagonal + 1).min(above[n] + 1);
        }
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_goes_there_and_back() {
        let texts = [
            "gaussian:3",
            "gaussian:0.1",
            "box:2",
            "median:2",
            "equalize",
            "sharpen",
            "sobel",
            "gray",
            "invert",
            "brightness:-20.5",
            "contrast:1.5",
            "gamma:2.2",
            "threshold:128",
            "resize:800x600",
            "resize:800x",
            "resize:x600",
            "resize:12.5%",
            "crop:800x600+10+0",
            "flip:vertical",
            "flip:horizontal",
            "rotate:90",
            "rotate:180",
            "rotate:270",
        ];
        for text in texts {
            let filter: Filter = text.parse().expect(text);
            assert_eq!(filter.to_string(), text);
        }
        for filter in FILTERS {
            assert!(texts.iter().any(|text| text.split(':').next() == Some(filter.name)), "{}", filter.name);
        }
        assert_eq!("flip".parse(), Ok(Filter::Flip(Flip::Vertical)));
    }

    #[test]
    fn each_error_is_what_is_wrong_and_what_to_do() {
        let wrong = [
            "gaussian",
            "gaussian:",
            "gaussian:0",
            "gaussian:-1",
            "gaussian:nan",
            "gaussian:inf",
            "gaussian:1e9",
            "gaussian:x",
            "gaussian:1:2",
            "gaussian:1e-50",
            "box:0",
            "box:-1",
            "box:1.5",
            "box:99999999999999999999",
            "box:20000",
            "median:0",
            "median:128",
            "median:x",
            "equalize:1",
            "sharpen:1",
            "sobel:",
            "gamma:0",
            "gamma:-2",
            "gamma:inf",
            "brightness:NaN",
            "contrast:",
            "threshold:high",
            "resize:800",
            "resize:0x5",
            "resize:5x0",
            "resize:-5x5",
            "resize:5x99999999999",
            "resize:x",
            "resize:0%",
            "resize:-50%",
            "resize:inf%",
            "resize:800x600x3",
            "crop:800x600",
            "crop:0x5+0+0",
            "crop:5x5+-1+0",
            "crop:5x5+1",
            "flip:up",
            "flip:",
            "rotate:45",
            "rotate",
            "",
            "gausian:3",
            "Gray",
            "🦀",
        ];
        for text in wrong {
            let error = text.parse::<Filter>().expect_err(text).to_string();
            assert!(error.contains(text.split(':').next().unwrap_or_default()), "{error}");
            assert!(error.ends_with('.') && error.contains(['.', '?']), "{error}");
        }
    }

    #[test]
    fn the_nearest_name_is_suggested() {
        for (typed, meant) in [("gausian", "gaussian"), ("rotat", "rotate"), ("grey", "gray"), ("sobell", "sobel")] {
            let error = typed.parse::<Filter>().expect_err(typed).to_string();
            assert!(error.contains(&format!("Did you mean '{meant}'?")), "{error}");
        }
        let error = "blur".parse::<Filter>().expect_err("blur").to_string();
        assert!(FILTERS.iter().all(|filter| error.contains(filter.name)), "{error}");
    }
}
