//! The network at its worst, from a raw socket on loopback: what was not sent, what was lost, and what is bounded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use genesys_cloud_simulator::gzip_of_zeros;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A gzip of `{"a":1}`.
const SMALL_GZIP: &[u8] = &[31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 86, 74, 84, 178, 50, 172, 5, 0, 175, 172, 27, 86, 7, 0, 0, 0];

/// A server that reads one request a connection and writes these bytes.
struct Server {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

/// What the server does after it has written.
#[derive(Clone, Copy)]
enum Then {
    Close,
    Hang,
}

impl Server {
    async fn start(answer: Vec<u8>, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answer, counted) = (answer.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    if read_head(&mut stream).await {
                        counted.fetch_add(1, Ordering::SeqCst);
                    }
                    // The client may have hung up already.
                    let _ = stream.write_all(&answer).await;
                    if matches!(then, Then::Hang) {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                });
            }
        });
        Self { address, requests }
    }

    async fn send(&self, milliseconds: u64, max_body: usize) -> Result<Response<Bytes>, TransportError> {
        let url = format!("http://{}/x", self.address);
        send(&url, milliseconds, max_body).await
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn read_head(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    let mut byte = [0_u8; 1];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    head.starts_with(b"POST /x HTTP/1.1\r\n")
}

async fn send(url: &str, milliseconds: u64, max_body: usize) -> Result<Response<Bytes>, TransportError> {
    let transport = HttpTransport::new().expect("a transport");
    let request = Request::builder().method("POST").uri(url).body(Bytes::new()).expect("a request");
    transport.send(request, Limits { timeout: Duration::from_millis(milliseconds), max_body }).await
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {head}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn is_lost(result: &Result<Response<Bytes>, TransportError>) -> bool {
    matches!(result, Err(TransportError::Lost(_)))
}

#[tokio::test]
async fn an_answer_comes_with_status_headers_and_body() {
    let server = Server::start(answer("404 Not Found\r\nContent-Length: 2\r\nRetry-After: 7", b"{}"), Then::Hang).await;
    let response = server.send(5000, 100).await.expect("an answer");
    assert_eq!((response.status().as_u16(), &response.body()[..]), (404, &b"{}"[..]));
    assert_eq!(response.headers()["retry-after"], "7");
}

#[tokio::test]
async fn a_closed_port_and_a_failed_handshake_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let result = send(&format!("http://{address}/x"), 5000, 100).await;
    assert!(matches!(result, Err(TransportError::NotSent(_))), "{result:?}");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 this is not TLS\r\n\r\n").await;
        }
    });
    let result = send(&format!("https://{address}/x"), 30_000, 100).await;
    assert!(matches!(result, Err(TransportError::NotSent(_))), "{result:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_lost_in_time() {
    for bytes in [vec![], b"HTTP/1.1 200 OK\r\n".to_vec(), answer("200 OK\r\nContent-Length: 10", b"12345")] {
        let server = Server::start(bytes, Then::Hang).await;
        let begun = Instant::now();
        let result = server.send(200, 100).await;
        assert!(is_lost(&result), "{result:?}");
        assert!(begun.elapsed() < Duration::from_secs(3));
        assert_eq!(server.requests(), 1);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_is_lost_and_not_tried_again() {
    for bytes in [
        vec![],
        b"HTTP/1.1 200".to_vec(),
        b"nonsense\r\n\r\n".to_vec(),
        answer("200 OK\r\nContent-Length: 10", b"12345"),
        answer("200 OK\r\nTransfer-Encoding: chunked", b"5\r\n12345\r\n"),
        answer("200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9", b"not gzip!"),
    ] {
        let server = Server::start(bytes.clone(), Then::Close).await;
        let result = server.send(5000, 100).await;
        assert!(is_lost(&result), "{result:?} {:?}", String::from_utf8_lossy(&bytes));
        assert_eq!(server.requests(), 1, "sent once");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let other = Server::start(answer("200 OK\r\nContent-Length: 0", b""), Then::Close).await;
    let head = format!("307 Temporary Redirect\r\nContent-Length: 0\r\nLocation: http://{}/x", other.address);
    let server = Server::start(answer(&head, b""), Then::Close).await;
    let response = server.send(5000, 100).await.expect("an answer");
    assert_eq!(response.status().as_u16(), 307);
    assert_eq!(other.requests(), 0);
}

#[tokio::test]
async fn a_body_is_read_up_to_its_bound() {
    let exact = answer("200 OK\r\nContent-Length: 100", &[b'x'; 100]);
    let server = Server::start(exact, Then::Close).await;
    assert_eq!(server.send(5000, 100).await.expect("fits").body().len(), 100);
    assert!(is_lost(&server.send(5000, 99).await));
    let mut endless = answer("200 OK\r\nTransfer-Encoding: chunked", b"");
    for _ in 0..1000 {
        endless.extend_from_slice(b"400\r\n");
        endless.extend_from_slice(&[b'x'; 1024]);
        endless.extend_from_slice(b"\r\n");
    }
    let server = Server::start(endless, Then::Hang).await;
    let begun = Instant::now();
    assert!(is_lost(&server.send(5000, 10_000).await));
    assert!(begun.elapsed() < Duration::from_secs(4), "the bound ends it, not the timeout");
}

#[tokio::test]
async fn a_compressed_body_is_bounded_by_what_it_unfolds_to() {
    let head = |length: usize| format!("200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {length}");
    let server = Server::start(answer(&head(SMALL_GZIP.len()), SMALL_GZIP), Then::Close).await;
    assert_eq!(server.send(5000, 100).await.expect("fits").body(), "{\"a\":1}");
    let bomb = gzip_of_zeros(100_000);
    assert!(bomb.len() < 200_000, "25 MB in {} bytes", bomb.len());
    let server = Server::start(answer(&head(bomb.len()), &bomb), Then::Hang).await;
    let result = server.send(5000, 1_000_000).await;
    assert!(matches!(&result, Err(TransportError::Lost(reason)) if reason.contains("larger than 1000000")), "{result:?}");
}
