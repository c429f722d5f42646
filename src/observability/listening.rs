//! Answers HTTP at an address until it is dropped: one mechanism for probes and metrics. Knows nothing of what it answers.

use std::net::SocketAddr;

use axum::Router;
use tokio::{net::TcpListener, task::JoinHandle};

/// Answers until it is dropped.
#[derive(Debug)]
pub struct Listening {
    /// Where; the port that was given where none was asked for.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers at this address.
///
/// # Errors
/// When nothing can listen there.
pub async fn listen(address: SocketAddr, router: Router) -> std::io::Result<Listening> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let server = async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%address, %error, "nothing is answered here any more");
        }
    };
    Ok(Listening { address, task: tokio::spawn(server) })
}
