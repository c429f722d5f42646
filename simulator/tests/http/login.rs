//! The login host and the tokens that it issues.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use genesys_cloud_simulator::{Consent, OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET, Settings};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::world::{Answer, World, web, with};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const REDIRECT: &str = "https://app.example/callback";

async fn authorize(world: &World, id: &str, more: &str) -> Answer {
    let path = format!("/oauth/authorize?client_id={id}&redirect_uri={REDIRECT}&state=a%26b{more}");
    world.get(&path).await
}

async fn code(world: &World, id: &str, more: &str) -> String {
    let answer = authorize(world, id, &format!("&response_type=code{more}")).await;
    let location = answer.header("location").to_owned();
    assert_eq!(answer.status, 302, "{}", answer.text);
    let rest = location.strip_prefix(&format!("{REDIRECT}?code=")).expect("a code");
    rest.strip_suffix("&state=a%26b").expect("the state, escaped").to_owned()
}

fn exchange<'a>(code: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("grant_type", "authorization_code"), ("code", code), ("redirect_uri", REDIRECT)], more].concat()
}

#[tokio::test]
async fn client_credentials_give_an_opaque_token_for_a_second_less_than_its_validity() {
    let world = World::new().await;
    let body = with(world.machine("m", "employee"), "accessTokenValiditySeconds", json!(300));
    let created = world.create(body).await;
    let answer = world.client_credentials(&created.id(), &created.secret()).await;
    assert_eq!(answer.status, 200);
    assert_eq!((&answer.body["token_type"], &answer.body["expires_in"]), (&json!("bearer"), &json!(299)));
    assert!(answer.body.get("refresh_token").is_none());
    let token = answer.body["access_token"].as_str().expect("a token");
    assert_eq!(token.len(), 80);
    let info = world.call_as(token, "GET", "/api/v2/tokens/me", Value::Null).await.body;
    assert_eq!(info["OAuthClient"]["id"], created.id());
    assert_eq!(info["organization"]["name"], "Simulated Organization");
    world.advance(300);
    assert_eq!(world.call_as(token, "GET", "/api/v2/tokens/me", Value::Null).await.error(), (401, "bad.credentials"));
}

#[tokio::test]
async fn the_secret_may_come_in_the_form() {
    let world = World::new().await;
    let fields = [("grant_type", "client_credentials"), ("client_id", OPERATOR_CLIENT_ID), ("client_secret", OPERATOR_CLIENT_SECRET)];
    assert_eq!(world.login(None, &fields).await.status, 200);
}

#[tokio::test]
async fn wrong_and_unknown_credentials_get_one_answer() {
    let world = World::new().await;
    let unknown = world.client_credentials("4f1b8a53-9c1f-4a43-9d24-1f0d2b9e3c11", "x").await;
    let wrong = world.client_credentials(OPERATOR_CLIENT_ID, "x").await;
    for answer in [unknown, wrong] {
        assert_eq!(answer.status, 400);
        let expected = json!({
            "error": "invalid_client",
            "description": "authentication failed",
            "error_description": "authentication failed",
        });
        assert_eq!(answer.body, expected);
    }
    let nameless = world.login(None, &[("grant_type", "client_credentials")]).await;
    assert_eq!(nameless.body["error"], "invalid_client");
}

#[tokio::test]
async fn the_right_secret_of_another_grant_type_is_told_from_a_wrong_one() {
    let world = World::new().await;
    let created = world.create(web("w")).await;
    let right = world.client_credentials(&created.id(), &created.secret()).await;
    assert_eq!((right.status, &right.body["error"]), (400, &json!("unauthorized_client")));
    assert_eq!(right.body["description"], "client is not authorized to use the client_credential grant type");
    let wrong = world.client_credentials(&created.id(), "x").await;
    assert_eq!(wrong.body["error"], "invalid_client");
    let probe = world.login(Some((&created.id(), &created.secret())), &exchange("none", &[])).await;
    assert_eq!(probe.body["error"], "invalid_grant", "the secret is right, the code cannot exist");
    assert_eq!(world.login(Some((&created.id(), "x")), &exchange("none", &[])).await.body["error"], "invalid_client");
}

#[tokio::test]
async fn grant_types_are_required_and_known() {
    let world = World::new().await;
    let own = Some((OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET));
    assert_eq!(world.login(own, &[]).await.body["error"], "invalid_request");
    assert_eq!(world.login(own, &[("grant_type", "password")]).await.body["error"], "unsupported_grant_type");
}

#[tokio::test]
async fn a_revoked_token_is_dead_at_once() {
    let world = World::new().await;
    assert_eq!(world.call("DELETE", "/api/v2/tokens/me", Value::Null).await.status, 200);
    assert_eq!(world.get("/api/v2/tokens/me").await.error(), (401, "bad.credentials"));
    let bare = http::Request::get("/api/v2/tokens/me").body(axum::body::Body::empty()).expect("a request");
    assert_eq!(world.send(bare).await.error(), (401, "authentication.required"));
}

#[tokio::test]
async fn a_web_client_gets_a_code_tokens_and_new_tokens() {
    let world = World::new().await;
    let created = world.create(web("w")).await;
    let (id, secret) = (created.id(), created.secret());
    let own = Some((id.as_str(), secret.as_str()));
    let code = code(&world, &id, "").await;
    let tokens = world.login(own, &exchange(&code, &[])).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text);
    let token = tokens.body["access_token"].as_str().expect("a token");
    let user = world.call_as(token, "GET", "/api/v2/users/me", Value::Null).await.body;
    assert_eq!(user["name"], "Simone Sample");
    let info = world.call_as(token, "GET", "/api/v2/tokens/me", Value::Null).await.body;
    assert_eq!(info["authorizedScope"], json!(["user-basic-info"]));
    assert_eq!(world.login(own, &exchange(&code, &[])).await.body["error"], "invalid_grant", "a code works once");
    let refresh = tokens.body["refresh_token"].as_str().expect("a refresh token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    let again = world.login(own, &fields).await;
    assert!(again.body["access_token"].is_string() && again.body["refresh_token"].is_string());
    assert_eq!(world.login(own, &fields).await.body["error"], "invalid_grant", "a refresh token works once");
    let newest = again.body["refresh_token"].as_str().expect("a refresh token");
    let bare = [("grant_type", "refresh_token"), ("refresh_token", newest), ("client_id", id.as_str())];
    assert_eq!(world.login(None, &bare).await.body["error"], "invalid_grant", "it was given to who showed a secret");
}

#[tokio::test]
async fn public_clients_get_refresh_tokens_if_a_setting_says_so() {
    let world = World::with(Settings { public_refresh_tokens: true, ..Settings::default() }).await;
    let id = world.create(web("spa")).await.id();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let code = code(&world, &id, &format!("&code_challenge={challenge}&code_challenge_method=S256")).await;
    let tokens = world.login(None, &exchange(&code, &[("client_id", &id), ("code_verifier", VERIFIER)])).await;
    let refresh = tokens.body["refresh_token"].as_str().expect("a refresh token");
    let again = world.login(None, &[("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_id", &id)]).await;
    assert!(again.body["access_token"].is_string() && again.body["refresh_token"].is_string(), "{}", again.text);
}

#[tokio::test]
async fn codes_expire_and_are_bound_to_client_and_redirect_uri() {
    let world = World::new().await;
    let (one, two) = (world.create(web("one")).await, world.create(web("two")).await);
    let (one_id, one_secret) = (one.id(), one.secret());
    let first = code(&world, &one_id, "").await;
    let stolen = world.login(Some((&two.id(), &two.secret())), &exchange(&first, &[])).await;
    assert_eq!(stolen.body["error"], "invalid_grant");
    let second = code(&world, &one_id, "").await;
    let elsewhere = [("grant_type", "authorization_code"), ("code", second.as_str()), ("redirect_uri", "https://other.example")];
    assert_eq!(world.login(Some((&one_id, &one_secret)), &elsewhere).await.body["error"], "invalid_grant");
    let third = code(&world, &one_id, "").await;
    world.advance(300);
    assert_eq!(world.login(Some((&one_id, &one_secret)), &exchange(&third, &[])).await.body["error"], "invalid_grant");
}

#[tokio::test]
async fn pkce_needs_no_secret_but_the_right_verifier() {
    let world = World::new().await;
    let id = world.create(web("spa")).await.id();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let more = format!("&code_challenge={challenge}&code_challenge_method=S256");
    let wrong = code(&world, &id, &more).await;
    let other = VERIFIER.replace('d', "e");
    let refused = world.login(None, &exchange(&wrong, &[("client_id", &id), ("code_verifier", &other)])).await;
    assert_eq!(refused.body["error"], "invalid_grant");
    let right = code(&world, &id, &more).await;
    let tokens = world.login(None, &exchange(&right, &[("client_id", &id), ("code_verifier", VERIFIER)])).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text);
    assert!(tokens.body.get("refresh_token").is_none());
    let bare = code(&world, &id, "").await;
    let refused = world.login(None, &exchange(&bare, &[("client_id", &id)])).await;
    assert_eq!(refused.body["error"], "invalid_client", "no secret and no challenge prove nothing");
    let plain = authorize(&world, &id, "&response_type=code&code_challenge=x&code_challenge_method=plain").await;
    assert_eq!((plain.status, &plain.body["error"]), (400, &json!("invalid_request")));
}

#[tokio::test]
async fn authorize_refuses_strangers_and_redirects_only_where_registered() {
    let world = World::new().await;
    let id = world.create(web("w")).await.id();
    let error = |answer: Answer| (answer.status, answer.body["error"].as_str().unwrap_or("").to_owned());
    let path = format!("/oauth/authorize?response_type=code&client_id={id}&redirect_uri=https://evil.example");
    assert_eq!(error(world.get(&path).await), (400, "invalid_request".to_owned()));
    assert_eq!(error(authorize(&world, "x", "&response_type=code").await), (400, "invalid_client".to_owned()));
    assert_eq!(error(authorize(&world, &id, "&response_type=token").await), (400, "unauthorized_client".to_owned()));
    world.simulator.update_settings(|settings| settings.consent = Consent::Deny);
    let denied = authorize(&world, &id, "&response_type=code").await;
    assert_eq!(denied.header("location"), format!("{REDIRECT}?error=access_denied&state=a%26b"));
}

#[tokio::test]
async fn an_implicit_client_gets_its_token_in_the_fragment() {
    let world = World::new().await;
    let id = world.create(with(web("w"), "authorizedGrantType", json!("TOKEN"))).await.id();
    let answer = authorize(&world, &id, "&response_type=token").await;
    let fragment = answer.header("location").strip_prefix(&format!("{REDIRECT}#access_token=")).expect("a token").to_owned();
    let token = fragment.split('&').next().expect("a token");
    assert_eq!(world.call_as(token, "GET", "/api/v2/users/me", Value::Null).await.status, 200);
    assert!(fragment.contains("&expires_in=86399&token_type=bearer&state=a%26b"));
}

#[tokio::test]
async fn saml_assertions_count_only_if_a_setting_says_so() {
    let world = World::new().await;
    let created = world.create(with(web("s"), "authorizedGrantType", json!("SAML2-BEARER"))).await;
    let assertion = STANDARD.encode("<Assertion/>");
    let (id, secret) = (created.id(), created.secret());
    let send = async |assertion: &str| {
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:saml2-bearer"),
            ("orgName", "Simulated%20Organization"),
            ("assertion", assertion),
        ];
        world.login(Some((&id, &secret)), &fields).await
    };
    assert_eq!(send(&assertion).await.body["error"], "invalid_grant");
    world.simulator.update_settings(|settings| settings.accept_saml_assertions = true);
    assert_eq!(send(&assertion).await.status, 200);
    assert_eq!(send("%%%").await.body["error"], "invalid_grant");
}

#[tokio::test]
async fn the_discovery_document_has_no_revocation_and_there_is_no_openid() {
    let world = World::new().await;
    let document = world.get("/.well-known/oauth-authorization-server").await.body;
    assert_eq!(document["token_endpoint"], "http://localhost/oauth/token");
    assert!(document.get("revocation_endpoint").is_none());
    assert_eq!(world.get("/.well-known/openid-configuration").await.status, 404);
}

#[tokio::test]
async fn scopes_bind_user_tokens_where_the_organization_enforces_them() {
    let world = World::with(Settings { scope_enforcement: true, ..Settings::default() }).await;
    let created = world.create(web("w")).await;
    let code = code(&world, &created.id(), "").await;
    let tokens = world.login(Some((&created.id(), &created.secret())), &exchange(&code, &[])).await;
    let token = tokens.body["access_token"].as_str().expect("a token");
    assert_eq!(world.call_as(token, "GET", "/api/v2/tokens/me", Value::Null).await.status, 200);
    let refused = world.call_as(token, "GET", "/api/v2/oauth/clients", Value::Null).await;
    assert_eq!(refused.error(), (403, "app.not.authorized.for.scope"));
    assert_eq!(refused.body["message"], "App not authorized to use scope [oauth, oauth:readonly]");
    assert_eq!(world.get("/api/v2/oauth/clients").await.status, 200, "client credentials have no scopes");
}
