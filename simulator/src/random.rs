//! Ids, secrets and tokens from one seedable generator; it must not be used for anything that protects real data.

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

/// The characters of secrets and opaque tokens.
const OPAQUE: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The simulator's only source of chance, so that a seed makes a whole run repeat itself.
#[derive(Debug)]
pub(crate) struct Chance {
    generator: StdRng,
}

impl Chance {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        let generator = seed.map_or_else(StdRng::from_os_rng, StdRng::seed_from_u64);
        Self { generator }
    }

    /// A version 4 UUID, the form of every id of the platform.
    pub(crate) fn id(&mut self) -> String {
        let mut bytes = [0_u8; 16];
        self.generator.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// A client secret: 43 characters, as 32 bytes in base64url have.
    pub(crate) fn secret(&mut self) -> String {
        self.opaque(43)
    }

    /// An access or refresh token: 80 characters, as in the one published sample. (E)
    pub(crate) fn token(&mut self) -> String {
        self.opaque(80)
    }

    /// An authorization code.
    pub(crate) fn code(&mut self) -> String {
        self.opaque(43)
    }

    fn opaque(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(OPAQUE[self.generator.random_range(0..OPAQUE.len())])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_everything_and_no_two_values_are_alike() {
        let mut one = Chance::new(Some(7));
        let mut two = Chance::new(Some(7));
        assert_eq!((one.id(), one.secret(), one.token()), (two.id(), two.secret(), two.token()));
        assert_ne!(one.secret(), one.secret());
        assert_ne!(Chance::new(Some(8)).secret(), Chance::new(Some(7)).secret());
    }

    #[test]
    fn values_have_the_platforms_look() {
        let mut chance = Chance::new(None);
        assert_eq!(chance.id().len(), 36);
        assert_eq!(chance.id().as_bytes()[14], b'4');
        assert_eq!(chance.secret().len(), 43);
        assert_eq!(chance.token().len(), 80);
    }
}
