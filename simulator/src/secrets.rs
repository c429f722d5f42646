//! Secrets that tests watch for, and whether a text holds one of them, as it is or encoded. It must not keep the texts.

use std::{collections::HashMap, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose};

/// How many bytes of a form are looked up at once: every form is longer.
const BEGINNING: usize = 8;

/// Secrets, by how their forms begin: thousands are looked for in every request, so that none is looked for by itself.
#[derive(Debug, Default)]
pub struct Secrets(HashMap<[u8; BEGINNING], Vec<String>>);

impl Secrets {
    /// Notes a secret of at least 16 bytes, in all forms in which programs print what they hold.
    pub fn learn(&mut self, secret: &str) {
        for form in forms(secret) {
            let Some(beginning) = form.as_bytes().first_chunk() else { continue };
            let known = self.0.entry(*beginning).or_default();
            if !known.contains(&form) {
                known.push(form);
            }
        }
    }

    /// Whether one of them stands in a text.
    #[must_use]
    pub fn are_in(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        (0..bytes.len()).any(|start| {
            let rest = &bytes[start..];
            let beginning = rest.first_chunk::<BEGINNING>();
            let known = beginning.and_then(|beginning| self.0.get(beginning));
            known.is_some_and(|known| known.iter().any(|form| rest.starts_with(form.as_bytes())))
        })
    }
}

/// As it is; in base64, alone or behind something else (as in an `Authorization` header); in hex; percent-encoded; as a list of bytes.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let mut forms = vec![secret.to_owned()];
    for behind in 0..3 {
        let text = [&[0; 2][..behind], bytes].concat();
        // What shares a digit with its neighbours differs from place to place.
        let whole = text.len() / 3 * 4;
        forms.extend(
            [&general_purpose::STANDARD_NO_PAD, &general_purpose::URL_SAFE_NO_PAD]
                .map(|alphabet| alphabet.encode(&text)[(behind * 8).div_ceil(6)..whole].to_owned()),
        );
    }
    let of_bytes = |separator: &str, shown: fn(&u8) -> String| bytes.iter().map(shown).collect::<Vec<_>>().join(separator);
    forms.push(of_bytes("", |byte| format!("{byte:02x}")));
    forms.push(of_bytes("", |byte| format!("{byte:02X}")));
    forms.push(of_bytes(", ", u8::to_string));
    forms.push(of_bytes(",", u8::to_string));
    forms.push(secret.bytes().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            write!(text, "{}", char::from(byte))
        } else {
            write!(text, "%{byte:02X}")
        };
        text
    }));
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "abcdefgh-the/first+one";
    const TWO: &str = "abcdefgh-the-second-one";

    fn known() -> Secrets {
        let mut secrets = Secrets::default();
        for secret in [ONE, TWO] {
            secrets.learn(secret);
        }
        secrets
    }

    #[test]
    fn a_secret_is_found_wherever_it_stands() {
        let secrets = known();
        for text in [TWO, "x abcdefgh-the-second-one y", "\"abcdefgh-the/first+one\"", "€abcdefgabcdefgh-the-second-one"] {
            assert!(secrets.are_in(text), "{text}");
        }
        for text in ["", "abcdefgh", "abcdefgh-the-third-one", "bcdefgh-the-second-one"] {
            assert!(!secrets.are_in(text), "{text}");
        }
    }

    #[test]
    fn a_secret_is_found_in_every_encoding_and_place() {
        let secrets = known();
        for secret in [ONE, TWO] {
            for before in ["", "i", "id", "id:", "a-client-id:"] {
                for after in ["", "x", "xy", "xyz"] {
                    let text = format!("{before}{secret}{after}");
                    assert!(secrets.are_in(&general_purpose::STANDARD.encode(&text)), "base64 of {text}");
                    assert!(secrets.are_in(&general_purpose::URL_SAFE_NO_PAD.encode(&text)), "base64url of {text}");
                }
            }
            assert!(secrets.are_in(&format!("{:?}", secret.as_bytes())), "the debug form of its bytes");
            assert!(secrets.are_in(&serde_json::to_string(secret.as_bytes()).expect("JSON")), "its bytes in JSON");
        }
        assert!(secrets.are_in("secret=abcdefgh-the%2Ffirst%2Bone&x"), "a form");
        assert!(!secrets.are_in(&general_purpose::STANDARD.encode("abcdefgh-the-third-one")));
    }
}
