//! Servers whose certificates are not good for what was asked, on loopback: nothing of a request reaches them, and the error says why.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A file of `tests/certificates`; its `make.sh` says what they are.
macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/", $name, ".der")).as_slice()
    };
}

fn acceptor(certificate: &'static [u8]) -> TlsAcceptor {
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate)], PrivatePkcs8KeyDer::from(file!("server-key")).into());
    TlsAcceptor::from(Arc::new(config.expect("a certificate with its key")))
}

/// A server that counts what it can read of requests.
async fn serve(acceptor: TlsAcceptor) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let read = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&read);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut buffer = [0_u8; 1024];
            let count = stream.read(&mut buffer).await.unwrap_or_default();
            counted.fetch_add(count, Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}").await;
            let _ = stream.shutdown().await;
        }
    });
    (address, read)
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_with_a_bad_certificate() {
    let authority = reqwest::Certificate::from_der(file!("authority")).expect("a certificate");
    let client = builder().no_proxy().tls_certs_merge([authority]).build().expect("a client");
    let transport = HttpTransport { loopback: client, ..HttpTransport::new().expect("a transport") };
    for (what, certificate, expected) in [
        ("good", file!("good"), None),
        ("self-signed", file!("self-signed"), Some("UnknownIssuer")),
        ("of another host", file!("other-host"), Some("not valid for name")),
        ("expired", file!("expired"), Some("expired")),
        ("not yet valid", file!("not-yet-valid"), Some("not valid yet")),
    ] {
        let acceptor = acceptor(certificate);
        let (address, read) = serve(acceptor).await;
        let request = Request::builder()
            .method("POST")
            .uri(format!("https://{address}/oauth/token"))
            .header("authorization", "Basic c2VjcmV0")
            .body(Bytes::from_static(b"grant_type=client_credentials"))
            .expect("a request");
        let result = transport.send(request, Limits { timeout: Duration::from_secs(30), max_body: 100 }).await;
        match expected {
            None => assert_eq!(result.expect("an answer").body(), "{}", "{what}"),
            Some(words) => {
                assert!(matches!(&result, Err(TransportError::NotSent(reason)) if reason.contains(words)), "{what}: {result:?}");
                assert_eq!(read.load(Ordering::SeqCst), 0, "{what}: nothing was sent");
            }
        }
    }
}
