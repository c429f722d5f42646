//! The secrets and tokens that an operator was given, and whether a text holds one of them. It must not keep the texts.

use std::collections::HashMap;

/// How many bytes of a secret it is looked up by: every secret is longer.
const BEGINNING: usize = 8;

/// Secrets, by how they begin: thousands are looked for in every request, so that none is looked for by itself.
#[derive(Debug, Default)]
pub struct Secrets(HashMap<[u8; BEGINNING], Vec<String>>);

impl Secrets {
    /// Notes a secret.
    pub fn learn(&mut self, secret: &str) {
        let beginning = secret.as_bytes().first_chunk().expect("a secret is longer");
        let known = self.0.entry(*beginning).or_default();
        if !known.iter().any(|one| one == secret) {
            known.push(secret.to_owned());
        }
    }

    /// Whether one of them stands in a text.
    pub fn are_in(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        (0..bytes.len()).any(|start| {
            let rest = &bytes[start..];
            let beginning = rest.first_chunk::<BEGINNING>();
            let known = beginning.and_then(|beginning| self.0.get(beginning));
            known.is_some_and(|known| known.iter().any(|secret| rest.starts_with(secret.as_bytes())))
        })
    }
}

#[test]
fn a_secret_is_found_wherever_it_stands() {
    let mut secrets = Secrets::default();
    for secret in ["abcdefgh-one", "abcdefgh-two", "ijklmnopqr"] {
        secrets.learn(secret);
    }
    for text in ["abcdefgh-two", "x abcdefgh-one y", "\"ijklmnopqr\"", "€abcdefgabcdefgh-one"] {
        assert!(secrets.are_in(text), "{text}");
    }
    for text in ["", "abcdefgh", "abcdefgh-three", "ijklmnopq"] {
        assert!(!secrets.are_in(text), "{text}");
    }
}
