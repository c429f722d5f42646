//! The platform client against the Genesys simulator, over the network: a client's whole life, every class of error by a
//! planted fault, the probe of every grant type, and the directory. It must not look into the client's insides.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use genesys_cloud_simulator::{Fault, FaultKind, Operation as Simulated, Served, Settings, Simulator, SystemClock};
use genesys_oauth_operator::genesys::{
    Budget, ClientCredential, ClientRequest, ClientState, CredentialError, Directory, Error, ErrorClass, GrantType, HttpTransport,
    IssuedClient, Limits, Platform, Probe, Regions, RoleDivision, RoleRequest, Scanner, Timeouts, Transport, Unresolved, fetch_token,
    probe,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::Instant;

const OWN_ID: &str = "00000000-0000-4000-8000-00000000c0de";
const OWN_SECRET: &str = "simulated-operator-secret-for-demos-only-00";
/// Enough for loopback, and short enough to wait for a hang.
const CALL: Duration = Duration::from_secs(2);

/// The simulator on a port of its own, and a client of it.
struct World {
    simulator: Simulator,
    platform: Platform,
    transport: Arc<dyn Transport>,
    _served: Served,
}

impl World {
    async fn start(settings: Settings) -> Self {
        let simulator = Simulator::new(settings, Arc::new(SystemClock));
        let served = simulator.serve(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
        let endpoint = format!("lab={0},{0}", served.url()).parse().expect("loopback endpoints");
        let endpoints = Regions::compiled().with_endpoints([endpoint]).get("lab").expect("just added");
        let transport: Arc<dyn Transport> = Arc::new(HttpTransport::new().expect("a transport"));
        let timeouts = Timeouts { call: CALL, scan: Duration::from_secs(10) };
        let budget = Arc::new(Budget::new(6000));
        let platform = Platform::new(Arc::clone(&transport), endpoints, credential(OWN_ID, OWN_SECRET), budget, timeouts);
        Self { simulator, platform, transport, _served: served }
    }

    async fn create(&self, request: &ClientRequest) -> Result<IssuedClient, Error> {
        let slot = self.platform.slot().await.expect("a slot");
        self.platform.create_client(slot, request).await
    }

    async fn token(&self, credential: &ClientCredential) -> Result<(), CredentialError> {
        fetch_token(self.transport.as_ref(), self.platform.endpoints(), credential, CALL).await.map(drop)
    }

    async fn probe(&self, credential: &ClientCredential, grant: GrantType) -> Probe {
        let organization = Settings::default().organization_id;
        probe(&self.platform, credential, grant, &organization).await.expect("it was not kept back")
    }

    fn names(&self) -> Vec<String> {
        self.simulator.clients().into_iter().map(|client| client.name).collect()
    }

    /// One request past the client, with the operator's own token.
    async fn raw(&self, path: &str, body: &Value) -> Value {
        let api = self.platform.endpoints().api_url();
        let basic = STANDARD.encode(format!("{OWN_ID}:{OWN_SECRET}"));
        let login = http::Request::post(format!("{api}/oauth/token"))
            .header("authorization", format!("Basic {basic}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from_static(b"grant_type=client_credentials"));
        let token = self.send(login.expect("a request")).await;
        let token = token["access_token"].as_str().expect("a token");
        let request = http::Request::post(format!("{api}{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Bytes::from(body.to_string()));
        self.send(request.expect("a request")).await
    }

    async fn send(&self, request: http::Request<Bytes>) -> Value {
        let limits = Limits { timeout: CALL, max_body: 100_000 };
        let response = self.transport.send(request, limits).await.expect("an answer");
        assert!(response.status().is_success(), "{}", response.status());
        serde_json::from_slice(response.body()).expect("JSON")
    }
}

fn credential(id: &str, secret: &str) -> ClientCredential {
    ClientCredential { client_id: id.to_owned(), client_secret: SecretString::from(secret) }
}

fn issued_credential(issued: &IssuedClient) -> ClientCredential {
    ClientCredential { client_id: issued.client.id.clone(), client_secret: issued.secret.clone().expect("a secret") }
}

/// A request for a client of the role that runs data actions, in all divisions.
async fn data_actions(platform: &Platform, name: &str) -> ClientRequest {
    let roles = platform.roles().await.expect("roles");
    let role = roles.iter().find(|role| role.name == "Data Actions").expect("the role");
    let pair = RoleDivision { role_id: role.id.clone(), division_id: "*".to_owned() };
    ClientRequest {
        name: name.to_owned(),
        description: Some("a test [k8s:0123456789ab/0123456789ab/abcdefghij]".to_owned()),
        grant_type: GrantType::ClientCredentials,
        access_token_validity_seconds: Some(3600),
        redirect_uris: None,
        scopes: None,
        role_divisions: Some(BTreeSet::from([pair])),
        state: ClientState::Active,
    }
}

/// A request for a client that people log in with.
fn for_people(grant_type: GrantType) -> ClientRequest {
    ClientRequest {
        name: format!("for people, {grant_type}"),
        description: None,
        grant_type,
        access_token_validity_seconds: None,
        redirect_uris: Some(vec!["https://app.example.com/callback".to_owned()]),
        scopes: Some(vec!["users:readonly".to_owned()]),
        role_divisions: None,
        state: ClientState::Active,
    }
}

#[tokio::test]
async fn a_clients_whole_life() {
    let world = World::start(Settings::default()).await;
    let platform = &world.platform;
    let request = data_actions(platform, "billing").await;
    let issued = world.create(&request).await.expect("created");
    let id = issued.client.id.clone();
    assert_eq!(request.differences(&issued.client), []);
    assert!(issued.client.date_created.is_some() && issued.client.date_modified.is_some());
    let first = issued_credential(&issued);
    world.token(&first).await.expect("the secret works");

    let scan = platform.list_clients().await.expect("a scan");
    assert!(scan.clients.iter().any(|client| client.id == id) && scan.clients.iter().any(|client| client.id == OWN_ID));
    let read = platform.get_client(&id).await.expect("read");
    assert!(!read.members().contains_key("secret"));

    let changed = ClientRequest { name: "billing 2".to_owned(), access_token_validity_seconds: Some(7200), ..request };
    let fields: Vec<_> = changed.differences(&read).iter().map(|difference| difference.field).collect();
    assert_eq!(fields, ["name", "accessTokenValiditySeconds"]);
    let updated = platform.update_client(&id, changed.overlay(&read.members())).await.expect("updated");
    assert_eq!(changed.differences(&updated), []);

    let slot = platform.slot().await.expect("a slot");
    let second = issued_credential(&platform.reset_secret(slot, &id).await.expect("reset"));
    assert_ne!(first.client_secret.expose_secret(), second.client_secret.expose_secret());
    assert!(matches!(world.token(&first).await, Err(CredentialError::InvalidClient { .. })));
    world.token(&second).await.expect("the new secret works");

    let error = platform.delete_client(&id).await.expect_err("still active");
    assert_eq!((error.code(), error.class()), (Some("cannot.delete.client"), ErrorClass::Rejected));
    let inactive = ClientRequest { state: ClientState::Inactive, ..changed };
    platform.update_client(&id, inactive.overlay(&updated.members())).await.expect("made inactive");
    assert!(matches!(world.token(&second).await, Err(CredentialError::InvalidClient { .. })));
    platform.delete_client(&id).await.expect("deleted");
    platform.delete_client(&id).await.expect("what is gone is deleted");
    assert!(platform.get_client(&id).await.is_err_and(|error| error.is_not_found()));
    assert!(platform.now().is_some());
}

#[tokio::test]
async fn every_way_to_lose_a_create_is_an_unknown_outcome() {
    let world = World::start(Settings::default()).await;
    let request = data_actions(&world.platform, "lost").await;
    let late = Fault::on(Simulated::CreateClient, FaultKind::Delay).delayed_by(CALL * 2);
    for (fault, status, committed) in [
        (Fault::on(Simulated::CreateClient, FaultKind::LostResponse), None, true),
        (Fault::on(Simulated::CreateClient, FaultKind::RefuseConnection), None, false),
        (Fault::on(Simulated::CreateClient, FaultKind::Truncate), None, true),
        (Fault::on(Simulated::CreateClient, FaultKind::Hang), None, false),
        (Fault::on(Simulated::CreateClient, FaultKind::Hang).after_commit(), None, true),
        (late, None, true),
        (Fault::on(Simulated::CreateClient, FaultKind::Html), Some(502), false),
        (Fault { status: Some(403), ..Fault::on(Simulated::CreateClient, FaultKind::Html) }, Some(403), false),
        (Fault { status: Some(200), ..Fault::on(Simulated::CreateClient, FaultKind::Html) }.after_commit(), Some(200), true),
        (Fault::status(Simulated::CreateClient, 408), Some(408), false),
        (Fault::status(Simulated::CreateClient, 409), Some(409), false),
        (Fault::status(Simulated::CreateClient, 500), Some(500), false),
        (Fault::status(Simulated::CreateClient, 503).after_commit(), Some(503), true),
        (Fault::status(Simulated::CreateClient, 504), Some(504), false),
    ] {
        let before = world.names().len();
        world.simulator.plant(fault.clone());
        let error = world.create(&request).await.expect_err("no answer");
        let Error::Unknown { status: seen, .. } = &error else { panic!("{fault:?}: {error:?}") };
        assert_eq!(*seen, status, "{fault:?}");
        assert_eq!(error.class(), ErrorClass::Unavailable, "{fault:?}");
        if fault.kind == FaultKind::Delay {
            tokio::time::sleep(CALL * 3 / 2).await;
        }
        assert_eq!(world.names().len() - before, usize::from(committed), "{fault:?}");
        // A row of failures would stop the calls; one that is answered ends the row.
        world.platform.organization().await.expect("an answer in between");
    }
    let calls = world.simulator.calls();
    let creates = calls.iter().filter(|call| call.operation == Simulated::CreateClient).count();
    assert_eq!(creates, 14, "each was sent once");
}

#[tokio::test]
async fn certain_refusals_say_what_helps() {
    let world = World::start(Settings::default()).await;
    let request = data_actions(&world.platform, "refused").await;
    for (status, code, class) in [
        (400, "bad.client.role", ErrorClass::Rejected),
        (401, "ip.not.authorized", ErrorClass::Permission),
        (403, "not.authorized", ErrorClass::Permission),
        (404, "not.found", ErrorClass::NotFound),
        (413, "request.entity.too.large", ErrorClass::Rejected),
        (415, "unsupported.media.type", ErrorClass::Rejected),
    ] {
        world.simulator.plant(Fault { code: Some(code.to_owned()), ..Fault::status(Simulated::CreateClient, status) });
        let error = world.create(&request).await.expect_err("refused");
        assert_eq!((error.code(), error.class(), error.outcome_is_known()), (Some(code), class, true), "{error}");
        assert!(error.correlation_id().is_some(), "{error}");
    }
    let without_roles = ClientRequest { role_divisions: None, ..request };
    let error = world.create(&without_roles).await.expect_err("refused");
    assert_eq!(error.code(), Some("missing.client.roles"));
    assert_eq!(world.names().len(), 1, "nothing was created");
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let permissions = vec!["oauth:client:add".to_owned(), "authorization:role:view".to_owned()];
    let world = World::start(Settings { operator_permissions: permissions, ..Settings::default() }).await;
    let error = world.platform.list_clients().await.expect_err("refused");
    assert_eq!(error.class(), ErrorClass::Permission);
    assert_eq!(error.missing_permissions(), Some(&["oauth:client:view".to_owned()][..]), "{error}");
}

#[tokio::test]
async fn a_429_says_when_and_holds_the_budget() {
    let world = World::start(Settings::default()).await;
    world.simulator.plant(Fault { retry_after: Some(1), ..Fault::status(Simulated::GetOrganization, 429) });
    let error = world.platform.organization().await.expect_err("throttled");
    assert_eq!((error.class(), error.retry_after()), (ErrorClass::Throttled, Some(Duration::from_secs(1))));
    assert!(error.outcome_is_known());
    let begun = Instant::now();
    world.platform.organization().await.expect("after the hold");
    assert!(begun.elapsed() > Duration::from_millis(900));
}

#[tokio::test]
async fn a_refused_token_is_renewed_and_the_call_made_again() {
    let world = World::start(Settings::default()).await;
    world.platform.organization().await.expect("answered");
    let fault = Fault { code: Some("bad.credentials".to_owned()), ..Fault::status(Simulated::GetOrganization, 401) };
    world.simulator.plant(fault);
    world.platform.organization().await.expect("with a new token");
    let logins = world.simulator.calls().iter().filter(|call| call.operation == Simulated::GetToken).count();
    assert_eq!(logins, 2);
}

#[tokio::test]
async fn the_login_hosts_400_is_a_wrong_credential_or_throttling() {
    let world = World::start(Settings { login_requests_per_minute: Some(2), ..Settings::default() }).await;
    let wrong = credential(OWN_ID, "not the secret");
    let error = world.token(&wrong).await.expect_err("refused");
    assert!(matches!(error, CredentialError::InvalidClient { .. }), "{error:?}");
    world.token(&credential(OWN_ID, OWN_SECRET)).await.expect("right");
    let error = world.token(&credential(OWN_ID, OWN_SECRET)).await.expect_err("throttled");
    let CredentialError::Throttled { retry_after } = error else { panic!("{error:?}") };
    assert!(retry_after >= Duration::from_secs(60));
    assert!(matches!(world.probe(&wrong, GrantType::ClientCredentials).await, Probe::Undecided { .. }), "throttling refutes nothing");
}

#[tokio::test]
async fn the_probe_knows_a_working_credential_of_every_grant_type() {
    let creatable = ["CODE", "TOKEN", "SAML2-BEARER", "PASSWORD", "CLIENT-CREDENTIALS"].map(str::to_owned).to_vec();
    let settings = Settings { creatable_grant_types: creatable, login_requests_per_minute: None, ..Settings::default() };
    let world = World::start(settings).await;
    let mut requests = vec![data_actions(&world.platform, "machine").await];
    requests.extend([GrantType::Code, GrantType::Token, GrantType::Saml2Bearer, GrantType::Password].map(for_people));
    for request in requests {
        let issued = world.create(&request).await.unwrap_or_else(|error| panic!("{}: {error}", request.grant_type));
        let grant = request.grant_type.clone();
        let right = issued_credential(&issued);
        let wrong = credential(&right.client_id, "not the secret");
        assert_eq!(world.probe(&right, grant.clone()).await, Probe::Proven, "{grant}");
        assert!(matches!(world.probe(&wrong, grant.clone()).await, Probe::InvalidClient { .. }), "{grant}");
        let other = probe(&world.platform, &right, grant.clone(), "another organization").await.expect("it was not kept back");
        assert_eq!(matches!(other, Probe::Mismatch { .. }), grant == GrantType::ClientCredentials, "{grant}: {other:?}");
        world.simulator.plant(Fault::on(Simulated::GetToken, FaultKind::Html));
        if grant == GrantType::ClientCredentials {
            assert!(matches!(world.probe(&right, grant).await, Probe::Undecided { .. }));
        } else {
            assert_eq!(world.probe(&right, grant).await, Probe::Proven, "the impossible code decides");
        }
    }
}

#[tokio::test]
async fn names_are_found_and_those_that_are_not_are_said() {
    let world = World::start(Settings::default()).await;
    let directory = Directory::new();
    let wanted = |role: &str, divisions: &[&str]| RoleRequest {
        role: role.to_owned(),
        divisions: divisions.iter().map(|division| (*division).to_owned()).collect(),
    };
    let resolved = directory
        .resolve(&world.platform, &[wanted("Supervisor", &["Sales", "*"]), wanted("Analytics Viewer", &[])], &["users:readonly".to_owned()])
        .await
        .expect("answered")
        .expect("found");
    assert_eq!((resolved.role_divisions.len(), resolved.role_names.len(), resolved.division_names.len()), (3, 2, 3));
    let held = world.platform.own_grants().await.expect("grants");
    assert!(resolved.role_names.keys().all(|role| held.iter().any(|pair| pair.role_id == *role)));
    let missing = directory.resolve(&world.platform, &[wanted("Superviser", &[])], &[]).await.expect("answered");
    assert_eq!(missing, Err(Unresolved::RoleNotFound { role: "Superviser".to_owned(), similar: vec!["Supervisor".to_owned()] }));
    let unknown = directory.resolve(&world.platform, &[], &["users:manage".to_owned()]).await.expect("answered");
    assert!(matches!(unknown, Err(Unresolved::ScopeUnknown { .. })));
}

#[tokio::test]
async fn a_list_in_pages_is_read_to_its_end_and_shared() {
    let world = World::start(Settings { client_list_page_size: Some(2), ..Settings::default() }).await;
    let request = data_actions(&world.platform, "one of many").await;
    for _ in 0..4 {
        world.create(&request).await.expect("created");
    }
    let scanner = Scanner::new(world.platform.clone());
    let now = Instant::now();
    let (one, other) = tokio::join!(scanner.begun_at_or_after(now), scanner.begun_at_or_after(now));
    let (one, other) = (one.expect("a scan"), other.expect("a scan"));
    assert!(Arc::ptr_eq(&one, &other));
    let ids: BTreeSet<&str> = one.clients.iter().map(|client| client.id.as_str()).collect();
    assert_eq!((one.clients.len(), ids.len()), (5, 5), "the operator's own client and four");
    let pages = world.simulator.calls().iter().filter(|call| call.operation == Simulated::ListClients).count();
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn the_operator_knows_who_it_is() {
    let world = World::start(Settings::default()).await;
    let organization = world.platform.organization().await.expect("answered");
    assert_eq!((organization.id, organization.name), (Settings::default().organization_id, Settings::default().organization_name));
    let info = world.platform.own_token_info().await.expect("answered");
    assert_eq!(info.organization_id, Settings::default().organization_id);
    assert_eq!(info.client_id.as_deref(), Some(OWN_ID));
}

#[tokio::test]
async fn an_integration_credential_follows() {
    let world = World::start(Settings::default()).await;
    let kind = json!({"name": "pureCloudOAuthClient"});
    let fields = json!({"clientId": "a", "clientSecret": "b"});
    let made = world.raw("/api/v2/integrations/credentials", &json!({"name": "data", "type": kind, "credentialFields": fields})).await;
    let listed = world.platform.integration_credentials().await.expect("listed").remove(0);
    assert_eq!(Some(listed.id.as_str()), made["id"].as_str());
    let written = world.platform.update_integration_credential(&listed, &credential("c", "d")).await.expect("written");
    assert_eq!((written.name.as_deref(), written.id.as_str()), (Some("data"), listed.id.as_str()));
    assert!(written.modified_date >= listed.modified_date);
    assert_eq!(world.platform.integration_credential(&listed.id).await.expect("read").kind, listed.kind);
}

#[tokio::test]
async fn requests_are_counted_by_client() {
    let world = World::start(Settings { running_answers: 1, ..Settings::default() }).await;
    let silent = world.create(&data_actions(&world.platform, "silent").await).await.expect("created").client.id;
    let busy = credential(OWN_ID, OWN_SECRET).client_id;
    let now = jiff::Timestamp::now();
    let (from, to) = (now - Duration::from_secs(60), now + Duration::from_secs(60));
    assert_eq!(world.platform.requests_of(&silent, from, to).await, Ok(0));
    assert!(world.platform.requests_of(&busy, from, to).await.is_ok_and(|requests| requests > 2));
    assert!(world.platform.requests_of("00000000-0000-4000-8000-000000000000", from, to).await.is_err_and(|error| error.is_not_found()));
}
