//! A hostile platform, from a raw socket on loopback, against the client that reads its answers: every kind of answer in every kind of
//! bad shape. What comes of it is an error of one call that says what happened, holds no secret, and ends in time.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use genesys_cloud_simulator::gzip_of_zeros;
use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::budget::Budget;
use super::super::platform::{Platform, Timeouts};
use super::super::region::Regions;
use super::super::request::ClientRequest;
use super::super::token::{ClientCredential, fetch_token};
use super::super::{ClientState, GrantType};
use super::*;

/// In lower case and short, so that it looks like no secret.
const SECRET: &str = "opensesame";
/// How long a call may take that has to end for another reason.
const LONG: Duration = Duration::from_secs(60);
/// How long one may take that only its timeout ends.
const SHORT: Duration = Duration::from_millis(400);
/// An hour, for one who only waits for it: the client ends it.
const FOREVER: Duration = Duration::from_secs(3600);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Token,
    RefusedLogin,
    Scan,
    RefusedRead,
    Create,
}

const ASKED: [Asked; 5] = [Asked::Token, Asked::RefusedLogin, Asked::Scan, Asked::RefusedRead, Asked::Create];

/// How it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attack {
    Huge,
    Endless,
    Drip,
    SlowHead,
    HugeHead,
    GzipBomb,
    Nested,
    Values,
    Redirect,
}

const ATTACKS: [Attack; 9] = [
    Attack::Huge,
    Attack::Endless,
    Attack::Drip,
    Attack::SlowHead,
    Attack::HugeHead,
    Attack::GzipBomb,
    Attack::Nested,
    Attack::Values,
    Attack::Redirect,
];

/// What the server does to whom: to all others it is a platform.
type Script = Arc<Mutex<Option<(Asked, Attack, SocketAddr)>>>;

fn status_of(asked: Asked) -> &'static str {
    match asked {
        Asked::RefusedLogin | Asked::RefusedRead => "400 Bad Request",
        _ => "200 OK",
    }
}

fn path_of(asked: Asked) -> &'static str {
    match asked {
        Asked::Token | Asked::RefusedLogin => "POST /oauth/token ",
        Asked::Scan => "GET /api/v2/oauth/clients ",
        Asked::RefusedRead => "GET /api/v2/oauth/clients/c1 ",
        Asked::Create => "POST /api/v2/oauth/clients ",
    }
}

/// A body that would be good, but for one member.
fn body_with(asked: Asked, member: &str) -> String {
    let told = format!(r#""message":"{SECRET} is wrong","error_description":"{SECRET} is wrong","x":{member}"#);
    match asked {
        Asked::Token => format!(r#"{{"access_token":"t","expires_in":900,{told}}}"#),
        Asked::RefusedLogin => format!(r#"{{"error":"invalid_client",{told}}}"#),
        Asked::RefusedRead => format!(r#"{{"code":"bad.request","status":400,{told}}}"#),
        Asked::Scan => format!(r#"{{"entities":[{{"id":"c1","name":"n",{told}}}],"total":1}}"#),
        Asked::Create => format!(r#"{{"id":"c1","name":"n","secret":"s2",{told}}}"#),
    }
}

async fn chunk(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).await?;
    stream.write_all(bytes).await?;
    stream.write_all(b"\r\n").await
}

async fn whole(stream: &mut (impl AsyncWrite + Unpin), head: &str, body: &[u8]) -> std::io::Result<()> {
    stream.write_all(format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes()).await?;
    stream.write_all(body).await
}

/// Does what the attack is. It fails where the client hangs up, which is what a client should do.
async fn strike(stream: &mut (impl AsyncWrite + Unpin), asked: Asked, attack: Attack, other: SocketAddr) -> std::io::Result<()> {
    let status = status_of(asked);
    let chunked = format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n");
    match attack {
        Attack::Huge => whole(stream, status, body_with(asked, &format!("\"{}\"", "x".repeat(30 << 20))).as_bytes()).await,
        Attack::Endless => {
            stream.write_all(chunked.as_bytes()).await?;
            loop {
                chunk(stream, &[b' '; 8192]).await?;
            }
        }
        Attack::Drip => {
            stream.write_all(chunked.as_bytes()).await?;
            loop {
                chunk(stream, b" ").await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Attack::SlowHead => {
            stream.write_all(format!("HTTP/1.1 {status}\r\nX: ").as_bytes()).await?;
            loop {
                stream.write_all(b"x").await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Attack::HugeHead => {
            stream.write_all(format!("HTTP/1.1 {status}\r\n").as_bytes()).await?;
            for number in 0..64 {
                stream.write_all(format!("X-{number}: {}\r\n", "x".repeat(1 << 20)).as_bytes()).await?;
            }
            Ok(())
        }
        Attack::GzipBomb => whole(stream, &format!("{status}\r\nContent-Encoding: gzip"), &gzip_of_zeros(400_000)).await,
        Attack::Nested => {
            let nested = "[".repeat(10_000) + &"]".repeat(10_000);
            whole(stream, status, body_with(asked, &nested).as_bytes()).await
        }
        Attack::Values => whole(stream, status, body_with(asked, &format!("[{}0]", r#"{"":0},"#.repeat(40_000))).as_bytes()).await,
        Attack::Redirect => {
            let head = format!("307 Temporary Redirect\r\nLocation: http://{other}/steal");
            whole(stream, &head, body_with(asked, "0").as_bytes()).await
        }
    }
}

async fn head_of(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0_u8; 1];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    String::from_utf8(head).ok()
}

/// One request of a connection: attacked if the script says so, else answered well.
async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), script: &Script, requests: &AtomicUsize) {
    let Some(head) = head_of(stream).await else { return };
    requests.fetch_add(1, Ordering::SeqCst);
    let script = *script.lock().expect("lock");
    match script {
        Some((asked, attack, other)) if head.starts_with(path_of(asked)) => {
            if strike(stream, asked, attack, other).await.is_ok() {
                tokio::time::sleep(FOREVER).await;
            }
        }
        _ => {
            let asked = ASKED.into_iter().find(|asked| head.starts_with(path_of(*asked))).expect("a path of these");
            let _ = whole(stream, &format!("{}\r\nConnection: close", status_of(asked)), body_with(asked, "0").as_bytes()).await;
        }
    }
}

async fn serve(script: &Script) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (requests, script) = (Arc::<AtomicUsize>::default(), Arc::clone(script));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (script, counted) = (Arc::clone(&script), Arc::clone(&counted));
            tokio::spawn(async move { answer(&mut stream, &script, &counted).await });
        }
    });
    (address, requests)
}

/// A client of a server, whose calls may take so long.
fn platform(transport: &HttpTransport, url: &str, call: Duration) -> Platform {
    let endpoint = format!("lab={url},{url}").parse().expect("loopback endpoints");
    let endpoints = Regions::compiled().with_endpoints([endpoint]).get("lab").expect("just added");
    let credential = ClientCredential { client_id: "own-id".to_owned(), client_secret: SecretString::from(SECRET) };
    let timeouts = Timeouts { call, scan: call };
    Platform::new(Arc::new(transport.clone()), endpoints, credential, Arc::new(Budget::new(6000)), timeouts)
}

/// Asks, as the operator does; what is told of a failure.
async fn ask(platform: &Platform, asked: Asked) -> Result<(), String> {
    let credential = ClientCredential { client_id: "own-id".to_owned(), client_secret: SecretString::from(SECRET) };
    match asked {
        Asked::Token | Asked::RefusedLogin => {
            let fetched = fetch_token(platform.transport(), platform.endpoints(), &credential, platform.timeouts().call).await;
            fetched.map(drop).map_err(|error| format!("{error} {error:?}"))
        }
        Asked::Scan => platform.list_clients().await.map(drop).map_err(|error| format!("{error} {error:?}")),
        Asked::RefusedRead => platform.get_client("c1").await.map(drop).map_err(|error| format!("{error} {error:?}")),
        Asked::Create => {
            let request = ClientRequest {
                name: "n".to_owned(),
                description: None,
                grant_type: GrantType::ClientCredentials,
                access_token_validity_seconds: None,
                redirect_uris: None,
                scopes: None,
                role_divisions: None,
                state: ClientState::Active,
            };
            let slot = platform.slot().await.map_err(|error| format!("no slot: {error}"))?;
            platform.create_client(slot, &request).await.map(drop).map_err(|error| format!("{error} {error:?}"))
        }
    }
}

/// What an error must say: one of these.
fn expected(asked: Asked, attack: Attack) -> &'static [&'static str] {
    match (attack, asked) {
        (Attack::Drip | Attack::SlowHead, _) => &["no answer within "],
        // It ends by whoever sees first that this goes nowhere.
        (Attack::HugeHead, _) => &["the response was lost", "message head is too large"],
        (Attack::Redirect, _) => &["HTTP 307"],
        // Of an error only so much is read as an error may hold; its status counts.
        (_, Asked::RefusedLogin) => &["HTTP 400"],
        (_, Asked::RefusedRead) => &["HTTP 400: an answer that is not the platform's"],
        (Attack::Huge | Attack::Endless | Attack::GzipBomb, _) | (Attack::Values, Asked::Token) => &["the body is larger than"],
        (Attack::Nested, Asked::Token) => &["cannot be read as a token"],
        (Attack::Nested, _) => &["nested too deep"],
        (Attack::Values, _) => &["holds more than 32768 values"],
    }
}

/// What was asked, in the words of the error.
fn subject(asked: Asked) -> &'static str {
    match asked {
        Asked::Token | Asked::RefusedLogin => "the login host",
        other => path_of(other).trim_end().trim_end_matches("c1"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_may_be_bad_in_every_way() {
    let script = Script::default();
    let (address, _) = serve(&script).await;
    let (other, stolen) = serve(&Script::default()).await;
    let url = format!("http://{address}");
    for attack in ATTACKS {
        for asked in ASKED {
            // A transport of its own: a connection that was attacked, and that the server holds on to, is nobody's for the next request.
            let transport = HttpTransport::new().expect("a transport");
            let only_timeout = matches!(attack, Attack::Drip | Attack::SlowHead);
            let platform = platform(&transport, &url, if only_timeout { SHORT } else { LONG });
            // The token that the calls of the API need is not attacked.
            if !matches!(asked, Asked::Token | Asked::RefusedLogin) {
                drop(platform.slot().await.expect("a token"));
            }
            *script.lock().expect("lock") = Some((asked, attack, other));
            let told = tokio::time::timeout(2 * LONG, ask(&platform, asked)).await.expect("it ends").expect_err("it is no answer");
            let what = format!("{asked:?} {attack:?}: {told}");
            assert!(expected(asked, attack).iter().any(|words| told.contains(words)) && told.contains(subject(asked)), "{what}");
            assert!(!told.contains(SECRET) && told.len() < 1000, "{what}");
            *script.lock().expect("lock") = None;
            drop(platform);
            assert_eq!(transport.buffers.taken(), 0, "{asked:?} {attack:?}: all memory was given back");
        }
    }
    assert_eq!(stolen.load(Ordering::SeqCst), 0, "no redirect was followed");
    let transport = HttpTransport::new().expect("a transport");
    let platform = platform(&transport, &url, LONG);
    for asked in [Asked::Token, Asked::Scan, Asked::Create] {
        assert_eq!(ask(&platform, asked).await, Ok(()), "{asked:?}: afterwards it is served");
    }
    let refused = ask(&platform, Asked::RefusedRead).await.expect_err("refused");
    assert!(refused.contains("400 bad.request: ") && refused.contains("is wrong"), "{refused}");
    assert_eq!(transport.buffers.taken(), 0, "all memory was given back");
}

/// A server that sends this much of a large answer, and then nothing.
async fn stuck(bytes: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = head_of(&mut stream).await;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2 * bytes);
                let _ = stream.write_all(&[head.as_bytes(), &vec![b' '; bytes]].concat()).await;
                tokio::time::sleep(FOREVER).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_memory_and_hangs_makes_room_for_one_that_answers() {
    const MEBIBYTE: usize = 1 << 20;
    let buffers = Buffers::new(8 * MEBIBYTE);
    let transport = HttpTransport { buffers: Arc::clone(&buffers), ..HttpTransport::new().expect("a transport") };
    let url = format!("http://{}/x", stuck(2 * MEBIBYTE).await);
    let limits = Limits { timeout: LONG, max_body: 4 * MEBIBYTE };
    let hostile: Vec<_> = (0..4)
        .map(|_| {
            let (transport, url) = (transport.clone(), url.clone());
            tokio::spawn(async move { transport.send(get(&url), limits).await })
        })
        .collect();
    while buffers.taken() < 8 * MEBIBYTE {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let honest = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let _ = head_of(&mut stream).await;
        whole(&mut stream, "200 OK", &vec![b' '; MEBIBYTE]).await.expect("it reads on");
    });
    // Each of the others holds more, and for longer.
    let answer = transport.send(get(&format!("http://{honest}/x")), limits).await.expect("there is room for it");
    assert_eq!(answer.body().len(), MEBIBYTE);
    let gone: Vec<_> = futures::future::join_all(hostile.into_iter().filter(tokio::task::JoinHandle::is_finished)).await;
    assert!(!gone.is_empty());
    for result in gone {
        let result = result.expect("no panic");
        assert!(matches!(&result, Err(TransportError::Lost(reason)) if reason.contains("gave way")), "{result:?}");
    }
}

fn get(url: &str) -> Request<Bytes> {
    Request::builder().uri(url).body(Bytes::new()).expect("a request")
}
