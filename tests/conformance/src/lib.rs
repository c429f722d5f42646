//! Checks that hold on a real kube-apiserver and on the in-memory Kubernetes API alike, so that tests may trust the latter. It
//! must not know which of the two it talks to: what a server cannot do is found by asking it.

pub mod answer;
pub mod capability;
pub mod check;
pub mod checks;
pub mod expect;
pub mod fixtures;
pub mod ground;
pub mod kubeconfig;
pub mod kubectl;
pub mod runner;
pub mod server;
pub mod until;
pub mod watch;
