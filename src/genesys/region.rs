//! Knows where each region's API and login hosts are, and reads the endpoints that flags add. It must not open a connection.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

/// The 18 public regions: the name of the AWS region and the platform's domain (PY269/JS262 region hosts).
/// The API host is `api.<domain>`, the login host `login.<domain>`, as in every SDK.
const COMPILED: [(&str, &str); 18] = [
    ("us-east-1", "mypurecloud.com"),
    ("us-east-2", "use2.us-gov-pure.cloud"),
    ("us-west-2", "usw2.pure.cloud"),
    ("ca-central-1", "cac1.pure.cloud"),
    ("mx-central-1", "mxc1.pure.cloud"),
    ("sa-east-1", "sae1.pure.cloud"),
    ("eu-west-1", "mypurecloud.ie"),
    ("eu-west-2", "euw2.pure.cloud"),
    ("eu-central-1", "mypurecloud.de"),
    ("eu-central-2", "euc2.pure.cloud"),
    ("eusc-de-east-1", "edee1.eusc-pure.cloud"),
    ("me-central-1", "mec1.pure.cloud"),
    ("ap-south-1", "aps1.pure.cloud"),
    ("ap-southeast-1", "apse1.pure.cloud"),
    ("ap-southeast-2", "mypurecloud.com.au"),
    ("ap-northeast-1", "mypurecloud.jp"),
    ("ap-northeast-2", "apne2.pure.cloud"),
    ("ap-northeast-3", "apne3.pure.cloud"),
];

/// Where one region answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// The name of the AWS region, such as `us-east-1`, or the name that a flag gave.
    pub region: String,
    /// The platform's domain, such as `mypurecloud.com`.
    pub domain: String,
    /// The API's base URL without a trailing slash.
    pub api: String,
    /// The login host's base URL without a trailing slash.
    pub login: String,
}

impl Endpoints {
    fn compiled(region: &str, domain: &str) -> Self {
        Self {
            region: region.to_owned(),
            domain: domain.to_owned(),
            api: format!("https://api.{domain}"),
            login: format!("https://login.{domain}"),
        }
    }

    /// Where tokens are issued (RFC 6749 §3.2).
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("{}/oauth/token", self.login)
    }

    /// Where a browser is sent to log in (RFC 6749 §3.1).
    #[must_use]
    pub fn authorize_url(&self) -> String {
        format!("{}/oauth/authorize", self.login)
    }

    /// The API's base URL without a trailing slash.
    #[must_use]
    pub fn api_url(&self) -> String {
        self.api.clone()
    }

    /// The login host's base URL without a trailing slash.
    #[must_use]
    pub fn login_url(&self) -> String {
        self.login.clone()
    }
}

/// The regions that an organization may name.
#[derive(Debug, Clone)]
pub struct Regions {
    by_name: BTreeMap<String, Endpoints>,
}

impl Regions {
    /// The 18 public regions.
    #[must_use]
    pub fn compiled() -> Self {
        let by_name = COMPILED.iter().map(|(region, domain)| ((*region).to_owned(), Endpoints::compiled(region, domain))).collect();
        Self { by_name }
    }

    /// Adds endpoints; one that has the name of another takes its place.
    #[must_use]
    pub fn with_endpoints(mut self, endpoints: impl IntoIterator<Item = CustomEndpoint>) -> Self {
        for CustomEndpoint(endpoint) in endpoints {
            self.by_name.insert(endpoint.region.clone(), endpoint);
        }
        self
    }

    /// The endpoints of a region, by its exact name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Endpoints> {
        self.by_name.get(name).cloned()
    }

    /// All names, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.by_name.keys().map(String::as_str).collect()
    }
}

impl Default for Regions {
    fn default() -> Self {
        Self::compiled()
    }
}

/// Endpoints that a flag adds, written `NAME=API_URL,LOGIN_URL`.
///
/// Only `https` is taken, and `http` for loopback hosts: a token or a secret never crosses a network in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomEndpoint(Endpoints);

impl CustomEndpoint {
    /// The endpoints that were written.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.0
    }
}

/// Why a custom endpoint was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The text has not the three parts.
    #[error("write NAME=API_URL,LOGIN_URL")]
    Shape,
    /// The name cannot be the name of a region.
    #[error("{0:?} is not a name: use 1 to 63 lower-case letters, digits and '-'")]
    Name(String),
    /// One of the URLs cannot be used.
    #[error("{url:?}: {problem}")]
    Url {
        /// The URL as it was written, without a user and password.
        url: String,
        /// What to write instead.
        problem: &'static str,
    },
}

impl FromStr for CustomEndpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, urls) = text.split_once('=').ok_or(EndpointError::Shape)?;
        let (api, login) = urls.split_once(',').ok_or(EndpointError::Shape)?;
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 63 || !name.chars().all(letters) {
            return Err(EndpointError::Name(name.to_owned()));
        }
        let (api, host) = base_url(api.trim())?;
        let (login, _) = base_url(login.trim())?;
        let domain = host.strip_prefix("api.").unwrap_or(&host).to_owned();
        Ok(Self(Endpoints { region: name.to_owned(), domain, api, login }))
    }
}

/// The URL without its trailing slash, and its host.
fn base_url(text: &str) -> Result<(String, String), EndpointError> {
    let bad = |problem| EndpointError::Url {
        // A password must not come back in an error, so everything up to the last '@' is left out.
        url: text.rsplit('@').next().unwrap_or_default().to_owned(),
        problem,
    };
    let uri: http::Uri = text.parse().map_err(|_| bad("this is not a URL"))?;
    let authority = uri.authority().ok_or_else(|| bad("write https://HOST"))?;
    if authority.as_str().contains('@') {
        return Err(bad("leave out the user and password"));
    }
    if uri.path_and_query().is_some_and(|rest| rest.as_str() != "/") {
        return Err(bad("leave out the path and the query"));
    }
    let host = authority.host();
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if is_loopback(host) => {}
        Some("http") => return Err(bad("use https; http is taken for loopback hosts only")),
        _ => return Err(bad("use https")),
    }
    let scheme = uri.scheme_str().unwrap_or("https");
    Ok((format!("{scheme}://{authority}"), host.to_owned()))
}

/// Whether the host of a URL is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eighteen_public_regions_are_known() {
        let regions = Regions::compiled();
        assert_eq!(regions.names().len(), 18);
        for name in regions.names() {
            let endpoints = regions.get(name).expect("named");
            assert_eq!(endpoints.api_url(), format!("https://api.{}", endpoints.domain));
            assert_eq!(endpoints.login_url(), format!("https://login.{}", endpoints.domain));
        }
        let first = regions.get("us-east-1").expect("the platform's first region");
        assert_eq!(first.token_url(), "https://login.mypurecloud.com/oauth/token");
        assert_eq!(first.authorize_url(), "https://login.mypurecloud.com/oauth/authorize");
        assert_eq!(regions.get("eu-central-1").expect("known").domain, "mypurecloud.de");
        assert_eq!(regions.get("eusc-de-east-1").expect("known").domain, "edee1.eusc-pure.cloud");
        assert!(regions.get("dca").is_none(), "internal regions are not offered");
    }

    #[test]
    fn a_flag_adds_or_replaces_endpoints() {
        let custom: CustomEndpoint = "lab=http://127.0.0.1:8080/,http://localhost:8080".parse().expect("taken");
        let regions = Regions::compiled().with_endpoints([custom]);
        assert_eq!(regions.names().len(), 19);
        let lab = regions.get("lab").expect("added");
        assert_eq!(lab.api, "http://127.0.0.1:8080");
        assert_eq!(lab.token_url(), "http://localhost:8080/oauth/token");
        let custom: CustomEndpoint = "x=https://api.example.com,https://login.example.com".parse().expect("taken");
        assert_eq!(custom.endpoints().domain, "example.com");
        let v6: CustomEndpoint = "x=http://[::1]:1,http://[::1]:1".parse().expect("taken");
        assert_eq!(v6.endpoints().api, "http://[::1]:1");
    }

    #[test]
    fn what_would_leak_or_mislead_is_refused() {
        for (text, words) in [
            ("", "NAME=API_URL"),
            ("lab", "NAME=API_URL"),
            ("lab=https://a.example", "NAME=API_URL"),
            ("=https://a.example,https://b.example", "is not a name"),
            ("Lab=https://a.example,https://b.example", "is not a name"),
            ("lab=http://a.example,https://b.example", "loopback hosts only"),
            ("lab=https://a.example,http://127.0.0.1.example.com", "loopback hosts only"),
            ("lab=ftp://a.example,https://b.example", "use https"),
            ("lab=https://a.example/v2,https://b.example", "leave out the path"),
            ("lab=https://a.example,https://b.example?x=1", "leave out the path"),
            ("lab=a.example,https://b.example", "use https"),
            ("lab=https://me:hunter2@a.example,https://b.example", "leave out the user"),
        ] {
            let error = text.parse::<CustomEndpoint>().expect_err(text).to_string();
            assert!(error.contains(words) || (text.contains("lab=a.") && error.contains("https")), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
