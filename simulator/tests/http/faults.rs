//! Planted faults, over the router and over real connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use genesys_cloud_simulator::{
    Fault, FaultKind, FaultTarget, OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET, Operation, Settings, Simulator, SystemClock,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{World, web};

#[tokio::test]
async fn a_planted_status_has_the_documented_body_and_commits_nothing() {
    let world = World::new().await;
    world.simulator.plant(Fault { retry_after: Some(7), ..Fault::status(Operation::CreateClient, 429) });
    let answer = world.create(web("w")).await;
    assert_eq!((answer.error(), answer.header("retry-after")), ((429, "too.many.requests.retry.after"), "7"));
    assert!(world.simulator.other_clients().is_empty());
    let call = world.simulator.calls().pop().expect("a call");
    assert_eq!(
        (call.operation, call.status, call.committed, call.fault),
        (Operation::CreateClient, Some(429), false, Some(FaultKind::Status))
    );
    assert_eq!(world.create(web("w")).await.status, 200, "a fault hits once");
}

#[tokio::test]
async fn a_status_after_the_commit_leaves_the_client_behind() {
    let world = World::new().await;
    world.simulator.plant(Fault::status(Operation::CreateClient, 504).after_commit());
    assert_eq!(world.create(web("w")).await.error(), (504, "request.timeout"));
    let clients = world.simulator.other_clients();
    assert_eq!(clients.len(), 1);
    let call = world.simulator.calls().pop().expect("a call");
    assert!(call.committed && call.target.as_ref() == Some(&clients[0].id) && call.status == Some(504));
}

#[tokio::test]
async fn codes_and_bodies_can_be_chosen_and_the_login_host_has_its_own_form() {
    let world = World::new().await;
    let ip = json!({"operation": "ListClients", "kind": "Status", "status": 401, "code": "ip.not.authorized"});
    world.simulator.plant(serde_json::from_value(ip).expect("a fault"));
    assert_eq!(world.get("/api/v2/oauth/clients").await.error(), (401, "ip.not.authorized"));
    let own = json!({"operation": "*", "kind": "Status", "status": 500, "body": {"error": {"code": "RATE_LIMIT"}}});
    world.simulator.plant(serde_json::from_value(own).expect("a fault"));
    assert_eq!(world.get("/api/v2/oauth/clients").await.body, json!({"error": {"code": "RATE_LIMIT"}}));
    world.simulator.plant(Fault { code: Some("invalid_request".to_owned()), ..Fault::status(Operation::GetToken, 400) });
    let login = world.client_credentials(OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET).await;
    assert_eq!((login.status, &login.body["error"]), (400, &json!("invalid_request")));
}

#[tokio::test]
async fn html_comes_instead_of_json() {
    let world = World::new().await;
    world.simulator.plant(Fault::on(Operation::ListClients, FaultKind::Html));
    let answer = world.get("/api/v2/oauth/clients").await;
    assert_eq!((answer.status, answer.header("content-type")), (502, "text/html; charset=utf-8"));
    assert!(answer.text.contains("<h1>502 Bad Gateway</h1>"));
}

#[tokio::test(start_paused = true)]
async fn a_delayed_call_commits_even_if_its_caller_has_left() {
    let world = World::new().await;
    world.simulator.plant(Fault::on(Operation::CreateClient, FaultKind::Delay).delayed_by(Duration::from_secs(30)));
    let left = tokio::time::timeout(Duration::from_secs(10), world.create(web("late"))).await;
    assert!(left.is_err(), "the caller gave up");
    assert!(world.simulator.other_clients().is_empty());
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert_eq!(world.simulator.other_clients().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hang_never_answers_and_commits_only_if_told() {
    let world = World::new().await;
    for (fault, clients) in
        [(Fault::on(Operation::CreateClient, FaultKind::Hang), 0), (Fault::on(Operation::CreateClient, FaultKind::Hang).after_commit(), 1)]
    {
        world.simulator.plant(fault);
        let answer = tokio::time::timeout(Duration::from_secs(86_400), world.create(web("w"))).await;
        assert!(answer.is_err());
        assert_eq!(world.simulator.other_clients().len(), clients);
        let call = world.simulator.calls().pop().expect("a call");
        assert_eq!((call.status, call.committed), (None, clients == 1));
    }
}

#[tokio::test]
async fn over_the_router_a_lost_response_is_marked() {
    let world = World::new().await;
    world.simulator.plant(Fault::on(Operation::CreateClient, FaultKind::LostResponse));
    assert!(world.create(web("w")).await.closed);
    assert_eq!(world.simulator.other_clients().len(), 1);
    world.simulator.plant(Fault::on(FaultTarget::Any, FaultKind::RefuseConnection));
    assert!(world.create(web("w")).await.closed);
    assert_eq!(world.simulator.other_clients().len(), 1);
}

/// A simulator on a real address, and a token.
struct Wire {
    simulator: Simulator,
    addr: SocketAddr,
    token: String,
    _served: genesys_cloud_simulator::Served,
}

impl Wire {
    async fn new() -> Self {
        let simulator = Simulator::new(Settings::default(), Arc::new(SystemClock));
        let served = simulator.serve(([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let form = format!("grant_type=client_credentials&client_id={OPERATOR_CLIENT_ID}&client_secret={OPERATOR_CLIENT_SECRET}");
        let login = raw(served.addr, "POST /oauth/token", "application/x-www-form-urlencoded", "", &form).await;
        let body: Value = serde_json::from_str(login.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON");
        let token = body["access_token"].as_str().expect("a token").to_owned();
        Self { addr: served.addr, simulator, token, _served: served }
    }

    /// Everything that the connection gave until it closed.
    async fn create(&self) -> String {
        raw(self.addr, "POST /api/v2/oauth/clients", "application/json", &self.token, &web("w").to_string()).await
    }
}

async fn raw(addr: SocketAddr, request: &str, media: &str, token: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.expect("it listens");
    let length = body.len();
    let text = format!(
        "{request} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Type: {media}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    // A reset connection is an end as good as any.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn on_the_wire_a_lost_response_is_a_closed_connection_and_a_client() {
    let wire = Wire::new().await;
    wire.simulator.plant(Fault::on(Operation::CreateClient, FaultKind::LostResponse));
    assert_eq!(wire.create().await, "");
    assert_eq!(wire.simulator.other_clients().len(), 1);
    assert!(wire.create().await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn on_the_wire_a_refused_connection_changes_nothing() {
    let wire = Wire::new().await;
    wire.simulator.plant(Fault::on(Operation::CreateClient, FaultKind::RefuseConnection));
    assert_eq!(wire.create().await, "");
    assert!(wire.simulator.other_clients().is_empty());
}

#[tokio::test]
async fn on_the_wire_a_truncated_body_is_shorter_than_it_promised() {
    let wire = Wire::new().await;
    wire.simulator.plant(Fault::on(Operation::CreateClient, FaultKind::Truncate));
    let answer = wire.create().await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let promised: usize = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").and_then(|length| length.parse().ok()))
        .expect("a length");
    assert!(head.starts_with("HTTP/1.1 200 OK"));
    assert!(body.starts_with('{') && body.len() == promised / 2, "{} of {promised}", body.len());
    assert_eq!(wire.simulator.other_clients().len(), 1);
}

#[tokio::test]
async fn on_the_wire_a_hang_keeps_the_connection_open() {
    let wire = Wire::new().await;
    wire.simulator.plant(Fault::on(Operation::CreateClient, FaultKind::Hang));
    assert!(tokio::time::timeout(Duration::from_millis(200), wire.create()).await.is_err());
    assert!(wire.simulator.other_clients().is_empty());
}

#[tokio::test]
async fn a_simulator_that_is_shut_down_can_be_served_again_at_its_address() {
    let simulator = Simulator::new(Settings::default(), Arc::new(SystemClock));
    let served = simulator.serve(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    let addr = served.addr;
    let mut open = TcpStream::connect(addr).await.expect("it listens");
    served.shutdown().await;
    assert_eq!(open.read(&mut [0]).await.unwrap_or(0), 0, "open connections end");
    assert!(TcpStream::connect(addr).await.is_err(), "nobody listens");
    let again = simulator.serve(addr).await.expect("the address is free");
    assert!(TcpStream::connect(again.addr).await.is_ok());
}

#[tokio::test]
async fn only_loopback_addresses_are_served() {
    let simulator = Simulator::new(Settings::default(), Arc::new(SystemClock));
    let error = simulator.serve(([0, 0, 0, 0], 0).into()).await.expect_err("refused");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
