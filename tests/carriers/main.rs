//! What follows a publish beside the Secret: workloads that are restarted, and credentials of integrations. One pass at a time over the in-memory
//! Kubernetes API and the Genesys simulator; no controller runs here.

mod bench;
mod integrations;
mod rollouts;
