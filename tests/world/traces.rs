//! The traces of a whole operator: what its passes, its steps, its calls and its writes tell a collector, and that no secret is among it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use genesys_oauth_operator::observability::{
    logging::{self, LogFormat},
    traces::Exporter,
};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::{
    collector::{Collector, Told},
    drift::settled,
    scenario::measured,
};

const CLIENTS: &str = "genesysoauthclients";
const NAME: &str = "billing";

fn parent<'a>(spans: &'a [Told], span: &Told) -> Option<&'a Told> {
    spans.iter().find(|other| other.id == span.parent)
}

fn text<'a>(fields: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    fields.get(name).map_or("", String::as_str)
}

/// A span and those around it, the innermost first.
fn around<'a>(spans: &'a [Told], span: &'a Told) -> Vec<&'a Told> {
    std::iter::successors(Some(span), |inner| parent(spans, inner)).collect()
}

#[test]
fn the_story_of_a_client_is_told_from_its_pass_to_each_call_and_holds_no_secret() {
    measured(931, async |world| {
        let collector = Arc::new(Collector::default());
        let exporter = Exporter::to("http://collector:4318", "operators", "operator-0", collector.clone()).expect("an endpoint");
        let subscriber = logging::subscriber(LogFormat::Text, EnvFilter::new("off"), std::io::sink, vec![exporter.listener()]);
        let _guard = tracing::subscriber::set_default(subscriber);
        settled(world, NAME, &json!({})).await;
        let secret = world.held(NAME).and_then(|held| held.client_secret).expect("a credential");
        world.annotate(CLIENTS, NAME, &json!({ "oauth.genesys-operator.io/rotate": "one/Emergency" })).await;
        world.until("the rotation", |world| (world.object(NAME)?["status"]["lastRotation"]["result"] == "Succeeded").then_some(())).await;
        world.until_rotations_end().await;
        world.remove(CLIENTS, NAME).await;
        world.goes(NAME).await;
        // Scans, which go on beside the passes.
        tokio::time::sleep(Duration::from_secs(900)).await;
        exporter.flush(Duration::from_secs(60)).await;
        let spans = collector.spans();

        for (operation, reason) in [("CreateClient", "create"), ("DeleteClient", "retire"), ("DeleteClient", "deletion")] {
            let chain = spans.iter().filter(|span| span.name == operation).map(|call| around(&spans, call));
            let within = |chain: &Vec<&Told>| chain.iter().any(|span| span.name == "step" && span.has("reason") == reason);
            let chain =
                chain.clone().find(within).unwrap_or_else(|| panic!("no {operation} in a step {reason}: {:#?}", chain.collect::<Vec<_>>()));
            let pass = chain.last().expect("a root");
            let told = ["object", "organization", "outcome"].map(|name| pass.has(name));
            assert_eq!((pass.name.as_str(), told), ("reconcile GenesysOAuthClient", ["team-a/billing", "acme", "Completed"]));
            assert_eq!([chain[0].has("organization"), chain[0].has("outcome")], ["acme", "Succeeded"]);
            assert_eq!((chain[0].kind, chain[0].failed, pass.kind, pass.failed), (SpanKind::Client, false, SpanKind::Internal, false));
            assert_eq!(pass.resource["service.name"], "genesys-oauth-operator");
            let step = chain.iter().find(|span| span.name == "step").expect("a step");
            let audited = |(line, fields): &(String, _)| line == "platform write" && text(fields, "operation") == operation;
            assert!(step.lines.iter().any(audited), "the audit line stands in its step: {:?}", step.lines);
        }
        let listed = spans.iter().filter(|span| span.name == "ListClients").map(|call| around(&spans, call));
        let alone = listed.filter(|chain| chain.last().is_some_and(|root| root.name == "scan" && root.has("organization") == "acme"));
        assert!(alone.count() > 1, "scans are told by themselves");
        let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        for name in ["reconcile GenesysOrganization", "GetToken", "GetTokenInfo", "write Secret", "write GenesysOAuthClient"] {
            assert!(names.contains(name), "{name} is not among {names:?}");
        }
        let lost: Vec<_> = spans.iter().filter(|span| !span.parent.is_empty() && parent(&spans, span).is_none()).collect();
        assert!(lost.is_empty(), "what ended was told before the flush, with all around it: {lost:#?}");

        let sent = collector.text();
        assert!(!world.wires.tells_a_secret(&sent), "a trace tells a secret");
        assert!(world.wires.tells_a_secret(&format!("{sent}{secret}")), "one that did would be found");
    });
}
