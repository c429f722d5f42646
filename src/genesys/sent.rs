//! What a request carried that nobody may see, and how a text is shown that may repeat it. It must not be kept longer than the request.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::token::ClientCredential;
use crate::redaction::{WITHHELD, withheld};

/// The most characters of a message that are kept.
const MAX_TEXT: usize = 256;
/// The most characters of a code, a permission or a correlation id that are kept.
pub(super) const MAX_WORD: usize = 128;

/// What is shorter is a part of too many words to be masked, and no secret.
const SHORTEST_MASKED: usize = 4;

/// The secrets of one request, in every form that an answer may repeat them in; the longest first, since a longer one may hold a shorter.
#[derive(Default)]
pub(super) struct Sent(Vec<Zeroizing<String>>);

impl Sent {
    /// What a request for a token carries.
    pub(super) fn credential(credential: &ClientCredential) -> Self {
        let secret = credential.client_secret.expose_secret();
        let pair = Zeroizing::new(format!("{}:{secret}", credential.client_id));
        Self::default().and(secret).forms(&STANDARD_NO_PAD.encode(pair.as_bytes())).forms(&URL_SAFE_NO_PAD.encode(pair.as_bytes()))
    }

    /// The same, and this secret.
    pub(super) fn and(self, secret: &str) -> Self {
        let encoded = [STANDARD_NO_PAD.encode(secret), URL_SAFE_NO_PAD.encode(secret)].map(Zeroizing::new);
        encoded.iter().fold(self.forms(secret), |sent, text| sent.forms(text))
    }

    fn forms(mut self, text: &str) -> Self {
        let forms = [text.to_owned(), percent(text, |byte| format!("%{byte:02X}")), percent(text, |byte| format!("%{byte:02x}"))];
        for form in forms.map(Zeroizing::new) {
            if form.len() >= SHORTEST_MASKED && !self.0.contains(&form) {
                self.0.push(form);
            }
        }
        self.0.sort_by_key(|form| std::cmp::Reverse(form.len()));
        self
    }

    /// The text without control characters, and with a mark in place of what was sent or may be a secret.
    pub(super) fn masked(&self, text: &str) -> String {
        // Control characters go first: what they cut in two would be whole again.
        let plain: String = text.chars().filter(|c| !c.is_control()).collect();
        let masked =
            self.0.iter().fold(plain, |text, form| if text.contains(form.as_str()) { text.replace(form.as_str(), WITHHELD) } else { text });
        withheld(&masked)
    }

    /// At most 256 characters of it.
    pub(super) fn clean(&self, text: &str) -> String {
        self.masked(text).chars().take(MAX_TEXT).collect()
    }

    /// At most 128 characters of it.
    pub(super) fn word(&self, text: &str) -> String {
        self.masked(text).chars().take(MAX_WORD).collect()
    }

    /// The header `ININ-Correlation-Id`, which every response carries (FORUM 12028).
    pub(super) fn correlation_id(&self, headers: &HeaderMap) -> Option<String> {
        let id = headers.get("inin-correlation-id")?.to_str().ok()?;
        Some(self.word(id)).filter(|id| !id.is_empty())
    }
}

/// The header `ININ-Correlation-Id` where nobody knows what was sent: only a UUID, which the platform's ids are, is shown.
pub(crate) fn correlation_id(headers: &HeaderMap) -> Option<String> {
    let id = Sent::default().correlation_id(headers)?;
    let is_uuid = id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_uuid.then_some(id)
}

/// The text as a form or a URL writes it (RFC 3986 §2.1).
fn percent(text: &str, encoded: impl Fn(u8) -> String) -> String {
    let mut written = String::with_capacity(3 * text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            written.push(char::from(byte));
        } else {
            written.push_str(&encoded(byte));
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use http::HeaderValue;
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_withheld_and_ids_and_names_are_not() {
        let sent = Sent::default();
        let secret = "Zb8hXx3Yv-0Qe_kT1mP7uWcR5sA9dLfG2nJ4oB6iKyE";
        let told = format!("the secret {secret}, of \"{secret}\" is wrong: secret={secret}&x");
        assert_eq!(sent.clean(&told), "the secret [withheld], of \"[withheld]\" is wrong: secret=[withheld]&x");
        assert!(sent.word(&format!("{secret}{secret}{}", "é".repeat(200))).starts_with("[withheld]é"), "not even a part of it");
        let (one, two) = secret.split_at(20);
        assert_eq!(sent.clean(&format!("{one}\u{0}{two}")), "[withheld]", "a control character hides nothing");
        for harmless in [
            "client 4f2c1b8e-7d7a-4a51-9c1d-0b6c5e7a9f10 of team-a/a-client-of-2024",
            "missing oauth:client:view",
            "clientId=4f2c1b8e-7d7a-4a51-9c1d-0b6c5e7a9f10",
            "Payment-Service-EU1-Production",
            "",
        ] {
            assert_eq!(sent.clean(harmless), harmless);
        }
    }

    #[test]
    fn what_was_sent_is_withheld_however_short_and_however_written() {
        for secret in ["hunter2", "all lower case, with +/= and ü", "Zb8hXx3Yv-0Qe_kT1mP7uWcR5sA9dLfG2nJ4oB6iKyE"] {
            let credential = ClientCredential { client_id: "c1".to_owned(), client_secret: SecretString::from(secret) };
            let sent = Sent::credential(&credential);
            let pair = format!("c1:{secret}");
            let forms = [
                secret.to_owned(),
                STANDARD.encode(secret),
                URL_SAFE.encode(secret),
                STANDARD.encode(&pair),
                URL_SAFE.encode(&pair),
                percent(secret, |byte| format!("%{byte:02X}")),
                percent(secret, |byte| format!("%{byte:02x}")),
                percent(&STANDARD.encode(&pair), |byte| format!("%{byte:02X}")),
            ];
            for form in forms {
                let shown = sent.clean(&format!("wrong: \"{form}\", see"));
                assert!(shown.starts_with("wrong: \"[withheld]") && shown.ends_with("\", see"), "{form}: {shown}");
                assert!(!sent.word(&form).contains(form.trim_end_matches('=')));
                let (one, two) = form.split_at(3);
                assert!(!sent.clean(&format!("{one}\u{7}{two}")).contains(one), "{form}");
            }
            let mut headers = HeaderMap::new();
            let header = percent(secret, |byte| format!("%{byte:02X}")).parse().expect("a header");
            headers.insert("inin-correlation-id", header);
            assert_eq!(sent.correlation_id(&headers).as_deref(), Some("[withheld]"));
            assert_eq!(correlation_id(&headers), None);
            let id = "4f2c1b8e-7d7a-4a51-9c1d-0b6c5e7a9f10";
            headers.insert("inin-correlation-id", HeaderValue::from_static(id));
            assert_eq!((sent.correlation_id(&headers).as_deref(), correlation_id(&headers).as_deref()), (Some(id), Some(id)));
        }
        assert_eq!(Sent::default().and("").and("was").clean("nothing was sent"), "nothing was sent");
    }
}
