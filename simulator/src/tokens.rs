//! Opaque tokens, refresh tokens and authorization codes; it must not know how one is asked for.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::later;
use crate::limits::Minute;

/// Whom a token speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The client itself: client credentials.
    Client,
    /// The configured user: every other grant.
    User,
}

/// An access token. The token itself is the key in [`Tokens`].
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) client_id: String,
    pub(crate) subject: Subject,
    pub(crate) scope: Vec<String>,
    pub(crate) expires_at: Timestamp,
    pub(crate) minute: Minute,
}

/// A refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refresh {
    pub(crate) client_id: String,
    pub(crate) expires_at: Timestamp,
    /// Was it given to a public client, which shows no secret?
    pub(crate) public: bool,
}

/// An authorization code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    /// The PKCE challenge (S256), if the client sent one.
    pub(crate) challenge: Option<String>,
    pub(crate) expires_at: Timestamp,
}

/// Everything that was issued.
#[derive(Default)]
pub(crate) struct Tokens {
    access: HashMap<String, Token>,
    refresh: HashMap<String, Refresh>,
    codes: HashMap<String, Code>,
}

impl Tokens {
    pub(crate) fn issue(&mut self, text: String, token: Token, now: Timestamp) {
        // Expired tokens are swept now and then, so that a long run does not grow without end.
        if self.access.len().is_multiple_of(1024) {
            self.access.retain(|_, token| now < token.expires_at);
        }
        self.access.insert(text, token);
    }

    /// The token, if it has not expired.
    pub(crate) fn valid(&mut self, text: &str, now: Timestamp) -> Option<&mut Token> {
        self.access.get_mut(text).filter(|token| now < token.expires_at)
    }

    pub(crate) fn revoke(&mut self, text: &str) {
        self.access.remove(text);
    }

    /// Ends every token of a client, refresh tokens and codes too.
    pub(crate) fn revoke_all_of(&mut self, client_id: &str) {
        self.access.retain(|_, token| token.client_id != client_id);
        self.refresh.retain(|_, refresh| refresh.client_id != client_id);
        self.codes.retain(|_, code| code.client_id != client_id);
    }

    /// How many tokens of this client are alive.
    pub(crate) fn alive_of(&self, client_id: &str, now: Timestamp) -> usize {
        self.access.values().filter(|token| token.client_id == client_id && now < token.expires_at).count()
    }

    pub(crate) fn issue_refresh(&mut self, text: String, refresh: Refresh) {
        self.refresh.insert(text, refresh);
    }

    pub(crate) fn refresh(&self, text: &str, now: Timestamp) -> Option<&Refresh> {
        self.refresh.get(text).filter(|refresh| now < refresh.expires_at)
    }

    /// Ends a refresh token: each works once.
    pub(crate) fn use_up_refresh(&mut self, text: &str) {
        self.refresh.remove(text);
    }

    pub(crate) fn issue_code(&mut self, text: String, code: Code) {
        self.codes.insert(text, code);
    }

    /// Takes a code: each works once, and a failed exchange uses it up too.
    pub(crate) fn take_code(&mut self, text: &str, now: Timestamp) -> Option<Code> {
        self.codes.remove(text).filter(|code| now < code.expires_at)
    }
}

/// When something issued now ends.
pub(crate) fn end(now: Timestamp, seconds: u64) -> Timestamp {
    later(now, Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn token(now: Timestamp) -> Token {
        Token {
            client_id: "a".to_owned(),
            subject: Subject::Client,
            scope: Vec::new(),
            expires_at: end(now, 300),
            minute: Minute::default(),
        }
    }

    #[test]
    fn a_token_ends_with_its_validity() {
        let (mut tokens, clock) = (Tokens::default(), ManualClock::default());
        tokens.issue("t".to_owned(), token(clock.now()), clock.now());
        clock.advance(Duration::from_millis(299_999));
        assert!(tokens.valid("t", clock.now()).is_some());
        clock.advance(Duration::from_millis(1));
        assert!(tokens.valid("t", clock.now()).is_none());
        assert_eq!(tokens.alive_of("a", clock.now()), 0);
    }

    #[test]
    fn a_code_works_once_and_not_too_late() {
        let (mut tokens, clock) = (Tokens::default(), ManualClock::default());
        let code = Code { client_id: "a".to_owned(), redirect_uri: String::new(), challenge: None, expires_at: end(clock.now(), 10) };
        tokens.issue_code("c".to_owned(), code.clone());
        tokens.issue_code("d".to_owned(), code);
        assert!(tokens.take_code("c", clock.now()).is_some());
        assert!(tokens.take_code("c", clock.now()).is_none());
        clock.advance(Duration::from_secs(10));
        assert!(tokens.take_code("d", clock.now()).is_none());
    }

    #[test]
    fn tokens_of_a_client_end_together_and_others_live_on() {
        let (mut tokens, now) = (Tokens::default(), ManualClock::default().now());
        tokens.issue("t".to_owned(), token(now), now);
        tokens.issue("u".to_owned(), Token { client_id: "b".to_owned(), ..token(now) }, now);
        tokens.issue_refresh("r".to_owned(), Refresh { client_id: "a".to_owned(), expires_at: end(now, 9), public: false });
        tokens.revoke_all_of("a");
        assert!(tokens.valid("t", now).is_none() && tokens.refresh("r", now).is_none());
        assert!(tokens.valid("u", now).is_some());
    }
}
