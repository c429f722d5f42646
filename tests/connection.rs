//! The operator's own clients of the Kubernetes API before servers that accept and stay silent, that drip, and that never end. Real sockets and
//! short limits; it must not measure how long anything took.

use std::{
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::StreamExt as _;
use genesys_oauth_operator::{
    connection::{self, Limits, Unanswered},
    controller::{Clients, watch},
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Config,
    api::{ListParams, PostParams},
    runtime::watcher::{self, watcher},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

/// What the server of a test does with a request.
#[derive(Clone, Copy)]
enum Server {
    /// It accepts, and stays silent.
    Silent,
    /// It answers lists with nothing in them, and stays silent for the rest.
    SilentButLists,
    /// One byte after the other, for ever.
    Drips,
    /// A body without an end.
    Floods,
    /// A whole answer, after this time.
    Late(Duration),
    /// It has no time, which says nothing of whether it did what was asked; and how often it was asked.
    Busy(&'static AtomicUsize),
}

const EMPTY: &str = r#"{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#;

impl Server {
    /// Clients of such a server.
    async fn clients(self, limits: Limits) -> Clients {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(async move { self.serve(connection).await });
            }
        });
        let uri = format!("http://{address}").parse().expect("an address");
        connection::clients(Config::new(uri), limits).expect("clients")
    }

    async fn serve(self, mut connection: TcpStream) -> std::io::Result<()> {
        let mut request = vec![];
        loop {
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                if connection.read_buf(&mut request).await? == 0 {
                    return Ok(());
                }
            }
            let lists = request.starts_with(b"GET") && !String::from_utf8_lossy(&request).contains("watch=true");
            request.clear();
            let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{EMPTY}", EMPTY.len());
            match self {
                Self::SilentButLists if lists => connection.write_all(whole.as_bytes()).await?,
                Self::Silent | Self::SilentButLists => {}
                Self::Busy(asked) => {
                    asked.fetch_add(1, Ordering::Relaxed);
                    connection.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await?;
                }
                Self::Late(by) => {
                    sleep(by).await;
                    connection.write_all(whole.as_bytes()).await?;
                }
                Self::Drips | Self::Floods => {
                    connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n{").await?;
                    loop {
                        if matches!(self, Self::Drips) {
                            connection.write_all(b" ").await?;
                            sleep(Duration::from_millis(20)).await;
                        } else {
                            connection.write_all(&[b' '; 8192]).await?;
                        }
                    }
                }
            }
        }
    }
}

const SHORT: Duration = Duration::from_millis(300);

fn limits() -> Limits {
    Limits { call: SHORT, list: SHORT, watch: SHORT, body: 1 << 20, ..Limits::default() }
}

/// Far more than any of these tests needs: one that hangs fails.
async fn ends<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), what).await.expect("it has an end")
}

/// Why the library says that there was no answer.
fn unanswered(error: &(dyn std::error::Error + 'static)) -> Option<Unanswered> {
    let mut errors = std::iter::successors(Some(error), |error| error.source());
    // The library keeps a foreign error in a box that is no link of the chain itself.
    errors.find_map(|error| {
        let inner = match error.downcast_ref::<kube::Error>() {
            Some(kube::Error::Service(inner)) => inner.downcast_ref(),
            _ => error.downcast_ref(),
        };
        inner.copied()
    })
}

async fn create(clients: &Clients) -> Option<Unanswered> {
    let api: Api<ConfigMap> = Api::namespaced(clients.calls.clone(), "default");
    let error = ends(api.create(&PostParams::default(), &ConfigMap::default())).await.expect_err("there is no answer");
    unanswered(&error)
}

/// The first failure of a watch.
async fn fails(clients: &Clients) -> watcher::Error {
    let api: Api<ConfigMap> = Api::namespaced(clients.watches.clone(), "default");
    let mut failures = pin!(watcher(api, watch::everything()).filter_map(async |event| event.err()));
    ends(failures.next()).await.expect("a watch goes on")
}

#[tokio::test]
async fn a_server_that_stays_silent_is_not_waited_for() {
    let clients = Server::Silent.clients(limits()).await;
    assert_eq!(create(&clients).await, Some(Unanswered::Late(SHORT)));
    let failure = fails(&clients).await;
    assert!(matches!(failure, watcher::Error::InitialListFailed(_)), "{failure}");
    assert_eq!(unanswered(&failure), Some(Unanswered::Late(SHORT)));
}

#[tokio::test]
async fn a_call_is_made_once_and_a_list_of_a_watch_is_repeated() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    static LISTS: AtomicUsize = AtomicUsize::new(0);
    let limits = Limits { call: Duration::from_secs(5), list: Duration::from_secs(5), ..limits() };
    assert_eq!(create(&Server::Busy(&CALLS).clients(limits).await).await, None, "it was answered");
    assert_eq!(CALLS.load(Ordering::Relaxed), 1, "a create whose outcome is not known is the caller's to repeat");
    fails(&Server::Busy(&LISTS).clients(limits).await).await;
    assert!(LISTS.load(Ordering::Relaxed) > 1, "the positive control: the library does repeat what it may");
}

#[tokio::test]
async fn a_watch_that_does_not_begin_is_not_waited_for() {
    let clients = Server::SilentButLists.clients(limits()).await;
    let failure = fails(&clients).await;
    assert!(matches!(failure, watcher::Error::WatchStartFailed(_)), "{failure}");
    assert_eq!(unanswered(&failure), Some(Unanswered::Late(SHORT)));
}

#[tokio::test]
async fn an_answer_that_drips_has_an_end() {
    let clients = Server::Drips.clients(limits()).await;
    assert_eq!(create(&clients).await, Some(Unanswered::Late(SHORT)));
    assert_eq!(unanswered(&fails(&clients).await), Some(Unanswered::Late(SHORT)));
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_taken_in() {
    // Time is not what ends it.
    let limits = Limits { call: Duration::from_secs(50), list: Duration::from_secs(50), ..limits() };
    let clients = Server::Floods.clients(limits).await;
    assert_eq!(create(&clients).await, Some(Unanswered::Large(limits.body)));
    assert_eq!(unanswered(&fails(&clients).await), Some(Unanswered::Large(limits.body)));
}

#[tokio::test]
async fn the_time_in_which_a_connection_was_not_used_is_not_the_next_answers() {
    let (idle, silence) = (Duration::from_millis(1500), Duration::from_secs(2));
    let limits = Limits { silence, ..Limits::default() };
    let clients = Server::Late(idle).clients(limits).await;
    for client in [clients.calls, clients.watches] {
        let api: Api<ConfigMap> = Api::namespaced(client, "default");
        for _ in 0..2 {
            ends(api.list(&ListParams::default())).await.expect("an answer in time");
            sleep(idle).await;
        }
    }
}
