//! The API on a loopback address, for clients that need a socket; it must refuse to listen anywhere else.
//!
//! Users are named by a bearer token or by the path before the API: `/users/alice/api/v1`. Command-line clients send no
//! token over plain HTTP, and so need the path. Who says nothing is the admin; a name that nobody was given a URL or a
//! kubeconfig for is refused.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Uri;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceExt as _;

use super::access::User;
use super::error::ApiError;
use super::service::{ApiService, refusal};
use super::world::World;

/// An API that listens. Dropping it closes the address and every connection.
#[derive(Debug)]
pub struct Served {
    /// Where it listens.
    pub addr: SocketAddr,
    task: JoinHandle<()>,
    world: Arc<World>,
}

impl Served {
    /// The base URL of the API for a user.
    #[must_use]
    pub fn url(&self, user: &str) -> String {
        self.world.admit(user);
        if user == "admin" { format!("http://{}", self.addr) } else { format!("http://{}/users/{user}", self.addr) }
    }

    /// A kubeconfig for a user.
    #[must_use]
    pub fn kubeconfig(&self, user: &str) -> String {
        self.kubeconfig_in(user, "default")
    }

    /// A kubeconfig for a user who works in a namespace.
    #[must_use]
    pub fn kubeconfig_in(&self, user: &str, namespace: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: simulated\nclusters:\n- name: simulated\n  cluster:\n    server: {}\nusers:\n- name: {user}\n  user:\n    token: {user}\ncontexts:\n- name: simulated\n  context:\n    cluster: simulated\n    user: {user}\n    namespace: {namespace}\n",
            self.url(user)
        )
    }

    /// Closes the address and every connection, as an outage does.
    pub async fn shutdown(mut self) {
        self.task.abort();
        // Waits until the listener is gone, so that the address can be taken again.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens on a loopback address; port 0 takes any free one.
pub(crate) async fn serve(world: Arc<World>, addr: SocketAddr) -> io::Result<Served> {
    if !addr.ip().is_loopback() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{addr} is no loopback address")));
    }
    let listener = TcpListener::bind(addr).await?;
    let addr = listener.local_addr()?;
    let serving = Arc::clone(&world);
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    if let Ok((stream, _)) = accepted {
                        connections.spawn(serve_connection(Arc::clone(&serving), stream));
                    }
                }
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    });
    Ok(Served { addr, task, world })
}

/// Serves one connection. Where no answer is to be sent, the service's error makes hyper close it.
async fn serve_connection(world: Arc<World>, stream: TcpStream) {
    // Small answers one after another: without this each waits for the other side's acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let user = identify(&mut request);
        let world = Arc::clone(&world);
        async move {
            if !world.knows(&user.name) {
                return Ok(refusal(&ApiError::of_status(401)));
            }
            let pace = world.pace();
            ApiService::new(world, user).paced(pace).oneshot(request).await
        }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Who calls; takes the user's part off the path.
fn identify<B>(request: &mut hyper::Request<B>) -> User {
    let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    if let Some(rest) = path.strip_prefix("/users/") {
        let (name, rest) = rest.split_once('/').map_or((rest, String::from("/")), |(name, rest)| (name, format!("/{rest}")));
        let name = name.replace("%3A", ":").replace("%3a", ":");
        if let Ok(uri) = rest.parse::<Uri>() {
            *request.uri_mut() = uri;
        }
        return User::named(&name);
    }
    let authorization = request.headers().get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    User::named(authorization.strip_prefix("Bearer ").unwrap_or("admin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_by_path_or_token() {
        let mut request = hyper::Request::builder().uri("/users/alice/api/v1/secrets?watch=1").body(()).expect("a request");
        assert_eq!(identify(&mut request).name, "alice");
        assert_eq!(request.uri(), "/api/v1/secrets?watch=1");
        let mut request = hyper::Request::builder().uri("/api").header("authorization", "Bearer bob").body(()).expect("a request");
        assert_eq!(identify(&mut request).name, "bob");
        let mut request = hyper::Request::builder().uri("/api").body(()).expect("a request");
        assert_eq!(identify(&mut request), User::admin());
    }
}
