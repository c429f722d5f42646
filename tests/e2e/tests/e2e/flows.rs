//! The flows of applications with users, run on the simulator with nothing but what the published Secrets hold, and what people are told again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e_support::expect::done;
use e2e_support::harness::Harness;
use e2e_support::manifests::{CLIENT, client, web_app, with_spec};
use e2e_support::oauth::{authorize, client_credentials, field, pkce, request_token, token_info};
use e2e_support::runner::Scenario;
use e2e_support::wait::until;
use e2e_support::world::{Plan, Route, World};
use serde_json::json;

/// What is said again within a minute is not told again at all; what is said after it, and within six, is a series.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(62);
const REDIRECT: &str = "https://app.example.com/callback";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("flows/authorization code with the published Secret", authorization_code),
        Scenario::new("flows/PKCE with the published Secret of a public client", public_client),
        Scenario::new("flows/an Event that is told again in the same words is a series", told_again).within(Duration::from_secs(180)),
    ]
}

async fn authorization_code(harness: Arc<Harness>) -> Result<()> {
    let world = World::settled(&harness, Plan::new("flow-code", Route::Direct)).await?;
    world.apply(&web_app(&world.name, "portal", &world.name)).await?;
    done(&world, "portal").await?;
    let (http, data) = (&harness.http, world.data("portal").await?);
    ensure!(field(&data, "grantType")? == "authorization_code", "the Secret's grantType is {}", field(&data, "grantType")?);
    let code = authorize(http, &data, REDIRECT, None).await?;
    let form = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", REDIRECT)];
    let reply = request_token(http, &data, &form).await?;
    let info = token_info(http, &data, reply.token()?).await?;
    ensure!(info.body["OAuthClient"]["id"] == field(&data, "clientId")?, "the token is another client's: {}", info.body);
    let Some(refresh) = reply.body["refresh_token"].as_str() else { anyhow::bail!("no refresh token for a confidential client") };
    request_token(http, &data, &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await?.token()?;
    ensure!(request_token(http, &data, &form).await?.token().is_err(), "a code worked twice");
    let other = client_credentials(http, &data).await?;
    ensure!(other.body["error"] == "unauthorized_client", "client credentials on a web app: {}", other.body["error"]);
    Ok(())
}

async fn public_client(harness: Arc<Harness>) -> Result<()> {
    let world = World::settled(&harness, Plan::new("flow-pkce", Route::Direct)).await?;
    let manifest = with_spec(web_app(&world.name, "wallboard", &world.name), &json!({ "publicClient": true }));
    world.apply(&manifest).await?;
    done(&world, "wallboard").await?;
    let (http, data) = (&harness.http, world.data("wallboard").await?);
    ensure!(!data.contains_key("clientSecret"), "a public client's Secret holds a clientSecret");
    let (verifier, challenge) = pkce();
    for (proof, works) in [(verifier.as_str(), true), ("another-verifier-that-nobody-announced-0123456789", false)] {
        let code = authorize(http, &data, REDIRECT, Some(&challenge)).await?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("code_verifier", proof),
            ("client_id", field(&data, "clientId")?),
            ("redirect_uri", REDIRECT),
        ];
        let reply = request_token(http, &data, &form).await?;
        ensure!(reply.token().is_ok() == works, "with a verifier that is {works}: {} {}", reply.status, reply.body["error"]);
    }
    Ok(())
}

async fn told_again(harness: Arc<Harness>) -> Result<()> {
    let world = World::settled(&harness, Plan::new("flow-events", Route::Direct)).await?;
    let edit = async |seconds: u32| -> Result<()> {
        world.apply(&with_spec(client(&world.name, CLIENT, &world.name), &json!({ "accessTokenValiditySeconds": seconds }))).await?;
        done(&world, CLIENT).await.map(drop)
    };
    for seconds in [3600, 7200] {
        edit(seconds).await?;
    }
    tokio::time::sleep(TOLD_AGAIN_AFTER).await;
    edit(10_800).await?;
    let place = format!("/apis/events.k8s.io/v1/namespaces/{}/events", world.name);
    until("the series", Duration::from_secs(20), || async {
        let events = harness.api.list(&place).await?;
        let updates: Vec<_> = events.iter().filter(|event| event["reason"] == "ClientUpdated").collect();
        let told = updates.len() == 1 && updates[0]["series"]["count"] == 2;
        Ok(if told { Ok(()) } else { Err(format!("{updates:?}")) })
    })
    .await
}
