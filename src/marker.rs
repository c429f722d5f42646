//! The marker by which the operator finds its clients again: written at the end of a client's description, parsed only there. Pure.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::api::MARKER_OPENING;

/// Letters of lower-case base32 (RFC 4648).
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Length of a nonce, in characters.
pub const NONCE_LENGTH: usize = 10;

/// Length of the digests of cluster and object, in hex digits.
const DIGEST_LENGTH: usize = 12;

/// Whose marker it is: the cluster and the object, each as a digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    cluster: String,
    object: String,
}

impl Owner {
    /// The owner for an object of a cluster. The object counts by namespace and name, not by uid, so that a restored one finds its clients.
    #[must_use]
    pub fn new(cluster_id: &str, namespace: &str, name: &str) -> Self {
        Self { cluster: digest(cluster_id), object: digest(&format!("{namespace}/{name}")) }
    }

    /// The digest of the cluster's id.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The marker of this owner with a nonce.
    #[must_use]
    pub fn marker(&self, nonce: &str) -> Marker {
        Marker { owner: self.clone(), nonce: nonce.to_owned() }
    }
}

/// `[k8s:<cluster>/<object>/<nonce>]`, 42 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Marker {
    /// Whose client it is.
    pub owner: Owner,
    /// Which of the owner's clients it is.
    pub nonce: String,
}

impl Marker {
    /// The marker at the end of a description, if one is there.
    #[must_use]
    pub fn parse(description: &str) -> Option<Self> {
        let inner = description.trim_end().strip_suffix(']')?;
        let start = inner.rfind(MARKER_OPENING)?;
        let mut parts = inner[start + MARKER_OPENING.len()..].split('/');
        let (cluster, object, nonce) = (parts.next()?, parts.next()?, parts.next()?);
        let is_digest = |part: &str| part.len() == DIGEST_LENGTH && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let is_nonce = nonce.len() == NONCE_LENGTH && nonce.bytes().all(|byte| BASE32.contains(&byte));
        let whole = parts.next().is_none() && is_digest(cluster) && is_digest(object) && is_nonce;
        whole.then(|| Self { owner: Owner { cluster: cluster.to_owned(), object: object.to_owned() }, nonce: nonce.to_owned() })
    }

    /// A description of the user's text and this marker.
    #[must_use]
    pub fn describe(&self, text: &str) -> String {
        let text = text.trim_end();
        if text.is_empty() { self.to_string() } else { format!("{text} {self}") }
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{MARKER_OPENING}{}/{}/{}]", self.owner.cluster, self.owner.object, self.nonce)
    }
}

/// The description without the marker at its end.
#[must_use]
pub fn without_marker(description: &str) -> &str {
    match Marker::parse(description) {
        Some(_) => description.rfind(MARKER_OPENING).map_or(description, |start| description[..start].trim_end()),
        None => description,
    }
}

/// A nonce made of random bytes, of which five bits each are used.
#[must_use]
pub fn nonce(random: [u8; NONCE_LENGTH]) -> String {
    random.iter().map(|byte| char::from(BASE32[usize::from(byte % 32)])).collect()
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))[..DIGEST_LENGTH].to_owned()
}

/// Bytes as lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn marker() -> Marker {
        Owner::new("11111111-2222-3333-4444-555555555555", "team-a", "billing").marker("abcdefgh27")
    }

    #[test]
    fn is_short_and_comes_back() {
        let text = marker().to_string();
        assert!(text.len() < 48, "{text}");
        assert_eq!(Marker::parse(&text), Some(marker()));
        assert_eq!(Marker::parse(&marker().describe("Sends invoices.")), Some(marker()));
        assert_eq!(Marker::parse(&format!("{} \n", marker())), Some(marker()), "white space that the platform adds");
    }

    #[test]
    fn counts_only_at_the_end() {
        assert_eq!(Marker::parse(&format!("{} and more", marker())), None);
        for broken in [
            "",
            "]",
            "[k8s:]",
            "[k8s:0123456789ab/0123456789ab/abcdefghij",
            "[k8s:0123456789ab/0123456789AB/abcdefghij]",
            "[k8s:0123456789ab/0123456789ab/abcdefghi1]",
            "[k8s:0123456789ab/0123456789ab/abcdefghij/x]",
        ] {
            assert_eq!(Marker::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn depends_on_namespace_and_name_not_on_their_concatenation() {
        assert_ne!(Owner::new("c", "a", "b"), Owner::new("c", "a/b", ""));
        assert_ne!(Owner::new("c", "ab", "c"), Owner::new("c", "a", "bc"));
    }

    proptest! {
        #[test]
        fn the_text_survives(text in "[^\\[]{0,200}", random in any::<[u8; NONCE_LENGTH]>()) {
            let marker = Owner::new("c", "n", "o").marker(&nonce(random));
            let description = marker.describe(&text);
            prop_assert_eq!(Marker::parse(&description), Some(marker));
            prop_assert_eq!(without_marker(&description), text.trim_end());
        }

        #[test]
        fn never_panics(text in "\\PC{0,80}") {
            let _ = Marker::parse(&text);
            let _ = without_marker(&format!("[k8s:{text}]"));
        }
    }
}
