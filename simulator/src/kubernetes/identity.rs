//! Uids and name suffixes from one seed; it must not be used for anything that protects real data.

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

/// The characters that a server puts behind `generateName`: no vowels, so that no word comes out.
const SUFFIX: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The API's only source of chance, so that a seed makes a whole run repeat itself.
#[derive(Debug)]
pub(crate) struct Identity {
    generator: StdRng,
}

impl Identity {
    pub(crate) fn new(seed: u64) -> Self {
        Self { generator: StdRng::seed_from_u64(seed) }
    }

    /// A version 4 UUID.
    pub(crate) fn uid(&mut self) -> String {
        let mut bytes = [0_u8; 16];
        self.generator.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// `base` and five characters, the whole at most 63 long.
    pub(crate) fn generated_name(&mut self, base: &str) -> String {
        let kept: String = base.chars().take(58).collect();
        let suffix: String = (0..5).map(|_| char::from(SUFFIX[self.generator.random_range(0..SUFFIX.len())])).collect();
        kept + &suffix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_everything() {
        let (mut one, mut two) = (Identity::new(7), Identity::new(7));
        assert_eq!((one.uid(), one.generated_name("x-")), (two.uid(), two.generated_name("x-")));
        assert_ne!(one.uid(), one.uid());
    }

    #[test]
    fn a_generated_name_is_a_label_at_most() {
        let name = Identity::new(1).generated_name(&"a".repeat(80));
        assert_eq!(name.len(), 63);
    }
}
