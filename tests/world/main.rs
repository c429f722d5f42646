//! World tests: the real controllers over the Kubernetes API and the Genesys Cloud of the simulators, in one process, on paused time.
//! They assert the state of the world, never the order of calls.

mod crash;
mod lifecycle;
mod rotation;
mod world;
