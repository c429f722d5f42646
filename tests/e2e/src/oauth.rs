//! OAuth as an application does it with a published Secret: client credentials, authorization code, PKCE; it must not
//! use anything that an application would not have.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::StatusCode;
use reqwest::{Client, Url};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A Secret's data, decoded.
pub type Data = BTreeMap<String, String>;

/// What the presets of `credentialsSecret` call the keys of preset Default.
const NAMES: [(&str, &str, &str); 4] = [
    ("clientId", "GENESYSCLOUD_OAUTHCLIENT_ID", "client-id"),
    ("clientSecret", "GENESYSCLOUD_OAUTHCLIENT_SECRET", "client-secret"),
    ("tokenUrl", "GENESYSCLOUD_TOKEN_URL", "token-uri"),
    ("apiUrl", "GENESYSCLOUD_API_URL", "api-uri"),
];

/// The data under the names of preset Default, whichever preset it was published with.
#[must_use]
pub fn default_names(data: &Data) -> Data {
    let mut all = data.clone();
    for (name, environment, binding) in NAMES {
        if let Some(value) = [environment, binding].into_iter().find_map(|other| data.get(other)) {
            all.insert(name.to_owned(), value.clone());
        }
    }
    all
}

/// The token host's or the API's reply.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Value,
}

impl Reply {
    /// The access token, or an error that names the refusal and no secret.
    pub fn token(&self) -> Result<&str> {
        match self.body["access_token"].as_str() {
            Some(token) if self.status.is_success() => Ok(token),
            _ => bail!("no token: {}: {} ({})", self.status, self.body["error"], self.body["error_description"]),
        }
    }
}

/// The value of a Secret's key.
pub fn field<'a>(data: &'a Data, key: &str) -> Result<&'a str> {
    let keys = || data.keys().cloned().collect::<Vec<_>>().join(", ");
    data.get(key).map(String::as_str).with_context(|| format!("the Secret has no key {key}, only {}", keys()))
}

/// A token request with HTTP Basic authentication, or none for a public client.
pub async fn request_token(http: &Client, data: &Data, form: &[(&str, &str)]) -> Result<Reply> {
    let mut request = http.post(field(data, "tokenUrl")?).timeout(Duration::from_secs(10)).form(form);
    if let Some(secret) = data.get("clientSecret") {
        let basic = BASE64_STANDARD.encode(format!("{}:{secret}", field(data, "clientId")?));
        request = request.header(http::header::AUTHORIZATION, format!("Basic {basic}"));
    }
    read(request.send().await?).await
}

/// The client-credentials grant.
pub async fn client_credentials(http: &Client, data: &Data) -> Result<Reply> {
    request_token(http, data, &[("grant_type", "client_credentials")]).await
}

/// What the platform says of a token: `GET /api/v2/tokens/me`.
pub async fn token_info(http: &Client, data: &Data, token: &str) -> Result<Reply> {
    let url = format!("{}/api/v2/tokens/me", field(data, "apiUrl")?);
    read(http.get(url).bearer_auth(token).timeout(Duration::from_secs(10)).send().await?).await
}

/// Sends a browser to the authorization endpoint and returns the code with which it comes back.
pub async fn authorize(http: &Client, data: &Data, redirect: &str, challenge: Option<&str>) -> Result<String> {
    let mut url = Url::parse(field(data, "authorizeUrl")?)?;
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", field(data, "clientId")?)
        .append_pair("redirect_uri", redirect)
        .append_pair("state", "state-of-the-test");
    if let Some(challenge) = challenge {
        url.query_pairs_mut().append_pair("code_challenge", challenge).append_pair("code_challenge_method", "S256");
    }
    let reply = http.get(url).timeout(Duration::from_secs(10)).send().await?;
    let status = reply.status();
    let Some(location) = reply.headers().get(http::header::LOCATION) else {
        bail!("the authorization endpoint sends nobody back: {status}: {}", reply.text().await?);
    };
    let location = Url::parse(location.to_str()?)?;
    if !location.as_str().starts_with(redirect) {
        bail!("the browser is sent to {location}, not to {redirect}");
    }
    let parameter = |wanted: &str| location.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned());
    if parameter("state").as_deref() != Some("state-of-the-test") {
        bail!("the state does not come back: {location}");
    }
    parameter("code").with_context(|| format!("no code: {location}"))
}

/// A code verifier and its S256 challenge.
#[must_use]
pub fn pkce() -> (String, String) {
    // The verifier is no secret here: nobody but this test uses it, once.
    let verifier = "a-code-verifier-of-the-end-to-end-tests-0123456789".to_owned();
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    (verifier, challenge)
}

async fn read(reply: reqwest::Response) -> Result<Reply> {
    let status = reply.status();
    let text = reply.text().await?;
    Ok(Reply { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
}
