//! The simulator on a loopback address; it must refuse to listen anywhere else.

use std::io;
use std::net::SocketAddr;

use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceExt as _;

use crate::router::ConnectionClosed;
use crate::simulator::Simulator;

/// A simulator that listens. Dropping it closes the address and every connection.
#[derive(Debug)]
pub struct Served {
    /// Where it listens.
    pub addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Served {
    /// The base URL of the API and of the login host.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
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

impl Simulator {
    /// Listens on a loopback address; port 0 takes any free one.
    pub async fn serve(&self, addr: SocketAddr) -> io::Result<Served> {
        if !addr.ip().is_loopback() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{addr} is no loopback address")));
        }
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let router = self.router();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        if let Ok((stream, _)) = accepted {
                            connections.spawn(serve_connection(router.clone(), stream));
                        }
                    }
                    Some(_) = connections.join_next(), if !connections.is_empty() => {}
                }
            }
        });
        Ok(Served { addr, task })
    }
}

/// Serves one connection. Where no answer is to be sent, an error of the service makes hyper close it.
async fn serve_connection(router: axum::Router, stream: TcpStream) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let router = router.clone();
        async move {
            let response = match router.oneshot(request.map(Body::new)).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            match response.extensions().get::<ConnectionClosed>() {
                Some(ConnectionClosed) => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
                None => Ok(response),
            }
        }
    });
    // Nothing to report: callers that leave early are part of what is simulated.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
