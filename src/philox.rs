//! Random numbers that belong to a slice and not to whoever works on it.

/// A stream of random numbers: Philox4x64-10 of Salmon, Moraes, Dror and Shaw, *Parallel Random Numbers: As Easy as 1, 2, 3* (2011).
///
/// Each block of four numbers is a function of key and counter alone, so that streams that differ in either have nothing to do with each
/// other, and none has to be stored. The numbers are those of NumPy's `Philox`, word for word:
///
/// ```
/// // numpy.random.Generator(numpy.random.Philox(key=42, counter=[0, 0, 0, 7])).random()
/// assert_eq!(parfork::Philox::new([42, 0], [0, 0, 0, 7]).uniform(), 0.6027953220064188);
/// ```
///
/// Not for secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Philox {
    key: [u64; 2],
    /// Of the last block.
    counter: [u64; 4],
    block: [u64; 4],
    /// How many numbers of the block are used up.
    used: usize,
}

impl Philox {
    /// The stream of a key from a counter on: `numpy.random.Philox(key=key[0] + (key[1] << 64), counter=counter)`. As there, the counter
    /// is that of the block before the first.
    pub fn new(key: [u64; 2], counter: [u64; 4]) -> Self {
        Self { key, counter, block: [0; 4], used: 4 }
    }

    /// The next 64 bits: what `random_raw()` is in NumPy.
    pub fn next_u64(&mut self) -> u64 {
        if self.used == self.block.len() {
            for word in &mut self.counter {
                *word = word.wrapping_add(1);
                if *word != 0 {
                    break;
                }
            }
            self.block = block(self.key, self.counter);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// The next number of [0, 1), all of the 2^53 multiples of 2^-53 there being equally likely: what `Generator.random()` is in NumPy.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The block of a counter.
fn block(mut key: [u64; 2], mut counter: [u64; 4]) -> [u64; 4] {
    const ROUNDS: usize = 10;
    const FACTORS: [u64; 2] = [0xd2e7_470e_e14c_6c93, 0xca5a_8263_9512_1157];
    const STEPS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xbb67_ae85_84ca_a73b];
    let product = |factor: u64, word: u64| {
        let product = u128::from(factor) * u128::from(word);
        ((product >> 64) as u64, product as u64)
    };
    for _ in 0..ROUNDS {
        let [a, b, c, d] = counter;
        let ((high, low), (other_high, other_low)) = (product(FACTORS[0], a), product(FACTORS[1], c));
        counter = [other_high ^ b ^ key[0], other_low, high ^ d ^ key[1], low];
        key = [key[0].wrapping_add(STEPS[0]), key[1].wrapping_add(STEPS[1])];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NumPy 2.4.6: `numpy.random.Philox(key=numpy.array(KEY, "u8"), counter=numpy.array(COUNTER, "u8"))`, of that
    /// `[hex(x) for x in philox.random_raw(5)]`, and of another one the 1001st.
    #[test]
    fn the_words_are_numpys() {
        let most = u64::MAX;
        let known = [
            (
                [0, 0],
                [0, 0, 0, 0],
                [
                    0x02f4_ba64_08e4_d89b,
                    0x3dd6_2b0b_9ca8_c5b2,
                    0x1c86_67a5_5d90_2e79,
                    0x907d_7a05_2fd5_b4dc,
                    0x809b_f322_8839_87c3,
                ],
                0xc608_5385_a10d_656c,
            ),
            (
                [42, 0],
                [0, 0, 0, 7],
                [
                    0x9a50_cb52_3309_21e1,
                    0x517f_468a_a576_1979,
                    0x7df6_ae56_de79_941a,
                    0x1ba2_4c48_3a41_ea6b,
                    0xfbee_b5e4_734a_2adb,
                ],
                0xd752_f13b_0ffa_99c6,
            ),
            (
                [42, 0],
                [0, 0, 3, 7],
                [
                    0xfcd2_53ef_4c3d_4bf4,
                    0xbc25_e01a_0796_19b0,
                    0x35e3_2f34_a48e_4971,
                    0xf277_bd55_8b0e_37bf,
                    0x757c_7c37_c0d9_f7df,
                ],
                0xb944_5ed5_f35f_f9a7,
            ),
            (
                [most, 0],
                [0, 0, 0, (1 << 28) - 1],
                [
                    0xe911_5a64_30d8_9d19,
                    0x9020_888f_2f89_1add,
                    0xfbab_0145_01ab_3a1a,
                    0x49d8_00cb_bea9_0b2c,
                    0x65d6_fde7_3cd5_d777,
                ],
                0xbfd7_a3a1_df69_13c4,
            ),
            (
                [1, 2],
                [most, most, most, 5],
                [
                    0xc93d_f26e_384e_a5b3,
                    0x8a5d_2fca_46d9_7544,
                    0x6ae7_ea67_9fa4_e1ff,
                    0x2f3c_7a0c_e1a5_2502,
                    0xe0ff_6b80_13f4_a78a,
                ],
                0x27ca_4e09_7557_f02d,
            ),
            (
                [most, most],
                [most, most, most, most],
                [
                    0x44b7_493d_1acf_c229,
                    0x6636_af8e_9979_21dd,
                    0x3f73_e132_b5b3_780e,
                    0x6056_44dd_e03b_01b1,
                    0x6d46_cc0e_71f0_be7e,
                ],
                0x1a26_d972_f139_47ee,
            ),
        ];
        for (key, counter, first, last) in known {
            let mut philox = Philox::new(key, counter);
            assert_eq!(first.map(|_| philox.next_u64()), first, "{key:?} {counter:?}");
            assert_eq!((5..=1000).map(|_| philox.next_u64()).last(), Some(last), "{key:?} {counter:?}");
        }
    }

    /// `numpy.random.Generator(numpy.random.Philox(key=42, counter=[0, 0, 0, 7])).random(4).tolist()`
    #[test]
    fn the_doubles_are_numpys() {
        let mut philox = Philox::new([42, 0], [0, 0, 0, 7]);
        let known = [0.6027953220064188, 0.3183483208171868, 0.492045303543341, 0.10794522059791911];
        assert_eq!(known.map(|_| philox.uniform()), known);
    }
}
