//! Looks at Kubernetes (talks to the network): the object, its Secrets, its organization, its policy. Changes nothing; the platform comes after.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Api, Resource as _, ResourceExt as _, api::ListParams, core::DeserializeGuard};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use super::{
    observation::{Organization, Times, current_rotation},
    policy::{self, PolicyView},
    rotation_store,
    timetable::{ABORT_ANNOTATION, ROTATE_ANNOTATION},
    validate::{self, Refusal},
};
use crate::{
    api::{
        GenesysOAuthClient, GenesysOAuthClientStatus, GenesysOrganization, GenesysRotationPolicy, LET_GO_ANNOTATION, RECONCILE_ANNOTATION,
        oauth_client::AdoptedSecretRef,
    },
    controller::{
        context::Context,
        error::{During as _, Error},
        kubernetes::secrets,
        memory::Circumstances,
        sessions::Standing,
        snapshot::Known,
        watch::REMEDY,
    },
    marker::Owner,
    secret::{
        self, Credential, Found, Ownership,
        rotation::{ROTATION_SUFFIX, RotationSecret},
    },
};

/// A shorter window could not tell a slow write from a process that stood still.
const SHORTEST_WINDOW: Duration = Duration::from_secs(1);

/// What Kubernetes alone shows.
pub struct Near {
    pub(super) object: Arc<GenesysOAuthClient>,
    pub(super) owner: Owner,
    pub(super) ownership: Ownership,
    pub(super) local: Result<validate::Local, Refusal>,
    pub(super) organization: Organization,
    pub(super) secret: Live,
    pub(super) former_secret: Option<Box<secret::Published>>,
    pub(super) rotation: Option<Box<RotationSecret>>,
    /// The rotation policy that applies.
    pub policy: PolicyView,
    pub(super) namespace_labels: BTreeMap<String, String>,
    /// The secret that `spec.adopt` names, or what is missing of it.
    pub(super) adopted_secret: Option<Result<SecretString, String>>,
    /// What a pause depends on.
    pub circumstances: Circumstances,
}

/// A Secret as it was found, before the platform was asked about a former owner's.
pub(super) enum Live {
    Absent,
    There(Found),
    /// Somebody else's, whose owner lets this object take it over; with what it holds.
    Offered(Box<Secret>, Credential),
}

/// Whose markers and Secrets are this object's.
#[must_use]
pub fn identity(context: &Context, object: &GenesysOAuthClient) -> (Owner, Ownership) {
    let namespace = object.namespace().unwrap_or_default();
    let name = object.name_any();
    let owner = Owner::new(&context.cluster_id, &namespace, &name);
    let ownership = Ownership {
        cluster: owner.cluster().to_owned(),
        namespace,
        name,
        uid: object.uid().unwrap_or_default(),
        reference: object.controller_owner_ref(&()).unwrap_or_default(),
    };
    (owner, ownership)
}

/// The waiting times for an object; its daily verification comes at a time of day that depends on its uid.
#[must_use]
pub fn times(context: &Context, object: &GenesysOAuthClient) -> Times {
    let settings = &context.settings;
    let hash = Sha256::digest(object.uid().unwrap_or_default().as_bytes());
    let fraction = f64::from(u16::from_be_bytes([hash[0], hash[1]])) / f64::from(u16::MAX);
    Times {
        call: settings.call_timeout.as_duration(),
        window: settings.consistency_window.as_duration().max(SHORTEST_WINDOW),
        roles: settings.role_propagation.as_duration(),
        refutation: settings.refutation_window.as_duration(),
        resync: settings.resync_interval.as_duration(),
        verification_spread: super::decide::VERIFICATION_INTERVAL.mul_f64(fraction).max(Duration::from_secs(60)),
    }
}

/// Looks at Kubernetes.
pub async fn near(context: &Context, object: Arc<GenesysOAuthClient>) -> Result<Near, Error> {
    let (owner, ownership) = identity(context, &object);
    let local = validate::locally(&object);
    let api = secrets(&context.client, &ownership.namespace);
    let live = read_secret(&api, object.secret_name()).await?;
    let former_name = object.status.as_ref().and_then(|status| status.effective.as_ref()).map(|effective| effective.secret_name.clone());
    let former_secret = match former_name.filter(|name| name != object.secret_name() && !name.is_empty()) {
        Some(name) => read_secret(&api, &name).await?.and_then(|secret| match secret::read(&secret, &ownership) {
            Found::Ours(published) => Some(published),
            _ => None,
        }),
        None => None,
    };
    // One that nothing tells of was left by a process that ended, or by a status that was lost: once a process it is looked for.
    let looked_for = context.memory.recall(&ownership.uid).looked_for_rotation;
    let rotation = rotation_secret(&api, &object, live.as_ref(), &ownership, looked_for).await?;
    let namespace_labels = namespace_labels(context, &ownership.namespace).await?;
    let (adopted_secret, adopted_version) = adopted_secret(&api, &object).await?;
    let organization =
        if local.is_ok() { organization(context, &object.spec.organization_ref.name).await? } else { Organization::NotAsked };
    let policy = policy(context, &object, &organization).await?;
    let version = match (&organization, context.sessions.standing(&object.spec.organization_ref.name)) {
        (Organization::Ready(organization, session), _) => (session.version, organization.uid(), organization.metadata.generation),
        (_, Standing::NotReady { version, .. }) => (version, None, None),
        _ => (0, None, None),
    };
    let circumstances = Circumstances {
        generation: object.metadata.generation,
        deleting: object.metadata.deletion_timestamp.is_some(),
        let_go: object.annotations().contains_key(LET_GO_ANNOTATION),
        organization: version,
        secret: live.as_ref().and_then(|secret| secret.metadata.resource_version.clone()),
        namespace_labels: namespace_labels.clone().into_iter().collect(),
        requests: [ROTATE_ANNOTATION, ABORT_ANNOTATION, RECONCILE_ANNOTATION].map(|name| object.annotations().get(name).cloned()),
        policy: policy.told(),
        client: known_client(context, &object, &organization),
        rotation_secret: rotation.as_ref().and_then(|rotation| rotation.next.resource_version.clone()),
        adopted_secret: adopted_version,
    };
    let secret = live.map_or(Live::Absent, |secret| whose(&secret, &ownership, &local));
    Ok(Near {
        object,
        owner,
        ownership,
        local,
        organization,
        secret,
        former_secret,
        rotation,
        policy,
        namespace_labels,
        adopted_secret,
        circumstances,
    })
}

/// Whose a Secret is; and whether its owner offers it to this object.
fn whose(secret: &Secret, ownership: &Ownership, local: &Result<validate::Local, Refusal>) -> Live {
    let found = secret::read(secret, ownership);
    match (&found, local) {
        (Found::Foreign(_), Ok(local)) if secret::offered_to(secret, ownership) => {
            Live::Offered(Box::new(secret.clone()), secret::credential_by_keys(secret, &local.keys))
        }
        _ => Live::There(found),
    }
}

/// The secret that `spec.adopt` names, as long as no client of the object is known; and the version of its Secret.
async fn adopted_secret(
    api: &Api<Secret>,
    object: &GenesysOAuthClient,
) -> Result<(Option<Result<SecretString, String>>, Option<String>), Error> {
    let known = object.status.as_ref().is_some_and(|status| status.client_id.is_some());
    let Some(reference) = object.spec.adopt.as_ref().and_then(|adopt| adopt.secret_ref.as_ref()).filter(|_| !known) else {
        return Ok((None, None));
    };
    let AdoptedSecretRef { name, key } = reference;
    let Some(secret) = api.get_opt(name).await.during("reading the Secret to adopt")? else {
        return Ok((
            Some(Err(format!("Secret {name:?} of spec.adopt does not exist: create it with the client's secret under key {key:?}"))),
            None,
        ));
    };
    let text = secret.data.as_ref().and_then(|data| String::from_utf8(data.get(key)?.0.clone()).ok());
    let value = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let found = value
        .map(SecretString::from)
        .ok_or_else(|| format!("Secret {name:?} of spec.adopt has no text under key {key:?}: write the client's secret there"));
    Ok((Some(found), secret.metadata.resource_version))
}

/// The print of the published client, as the snapshot tells it or as this process saw it since.
fn known_client(context: &Context, object: &GenesysOAuthClient, organization: &Organization) -> Known {
    let (Organization::Ready(_, session), Some(id)) = (organization, object.status.as_ref().and_then(|status| status.client_id.as_deref()))
    else {
        return Known::Nothing;
    };
    let snapshot = session.snapshot();
    let window = times(context, object).window;
    context.memory.look(&object.uid().unwrap_or_default(), |memory| {
        let Some(memory) = memory else { return Known::Nothing };
        let told = snapshot.filter(|snapshot| snapshot.counts(memory, id, window));
        match told {
            Some(snapshot) => snapshot.get(id).map(|(_, print)| print).into(),
            None => memory.sights.get(id).map_or(Known::Nothing, |sight| sight.print.into()),
        }
    })
}

/// The rotation Secret, where there can be one that counts: during a rotation, and where the main Secret or the status was lost.
async fn rotation_secret(
    api: &Api<Secret>,
    object: &GenesysOAuthClient,
    main: Option<&Secret>,
    ownership: &Ownership,
    looked_for: bool,
) -> Result<Option<Box<RotationSecret>>, Error> {
    let current = object.status.as_ref().and_then(current_rotation);
    let known = object.status.as_ref().is_some_and(|status| status.client_id.is_some());
    if current.is_none() && known && main.is_some() && looked_for {
        return Ok(None);
    }
    let name = current.and_then(|current| current.secret_name.clone());
    rotation_store::read(api, &name.unwrap_or_else(|| format!("{}{ROTATION_SUFFIX}", object.secret_name())), ownership).await
}

/// The rotation policy that applies: the one that the object names, else the defaults of its organization.
async fn policy(context: &Context, object: &GenesysOAuthClient, organization: &Organization) -> Result<PolicyView, Error> {
    let organization = match organization {
        Organization::Ready(organization, _) | Organization::NotReady(_, organization) => Some(&**organization),
        _ => None,
    };
    if !object.can_rotate() {
        return Ok(PolicyView::None);
    }
    match &object.spec.rotation_policy_ref {
        Some(reference) => {
            let api: Api<DeserializeGuard<GenesysRotationPolicy>> =
                Api::namespaced(context.client.clone(), &object.namespace().unwrap_or_default());
            let found = api.get_opt(&reference.name).await.during("reading the rotation policy")?;
            let named = |found| policy::named(&context.policies, &reference.name, found, organization);
            Ok(match &found {
                None => named(None),
                Some(DeserializeGuard(Ok(found))) => named(Some(found)),
                Some(DeserializeGuard(Err(fault))) => {
                    PolicyView::NotReady(format!("GenesysRotationPolicy {:?} can't be read: {fault}; {REMEDY}", reference.name))
                }
            })
        }
        None => Ok(organization.map_or_else(
            || PolicyView::NotReady("the organization is not there yet".to_owned()),
            |organization| policy::defaults(&context.policies, organization),
        )),
    }
}

impl Near {
    /// Goes on with the books of the rotation kept up to now.
    pub fn keep_books(&mut self, status: GenesysOAuthClientStatus) {
        let mut object = (*self.object).clone();
        object.status = Some(status);
        self.object = Arc::new(object);
    }

    /// What the object is to its policy.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}/{}", self.ownership.namespace, self.ownership.name)
    }
}

async fn read_secret(api: &Api<Secret>, name: &str) -> Result<Option<Secret>, Error> {
    api.get_opt(name).await.during("reading the Secret")
}

/// The labels of a namespace.
pub(super) async fn namespace_labels(context: &Context, namespace: &str) -> Result<BTreeMap<String, String>, Error> {
    let api: Api<Namespace> = Api::all(context.client.clone());
    let found = api.get_metadata_opt(namespace).await.during("reading the labels of the namespace")?;
    Ok(found.and_then(|namespace| namespace.metadata.labels).unwrap_or_default())
}

/// The organization of this name: live, because access must not be judged by an old copy.
pub async fn organization(context: &Context, name: &str) -> Result<Organization, Error> {
    let api: Api<DeserializeGuard<GenesysOrganization>> = Api::all(context.client.clone());
    let selected = match &context.settings.organizations {
        None => api.get_opt(name).await.during("reading the organization")?,
        Some(selector) => {
            let parameters = ListParams::default().labels(selector).fields(&format!("metadata.name={name}"));
            let found = api.list(&parameters).await.during("reading the organization")?.items.into_iter().next();
            if found.is_none() && api.get_metadata_opt(name).await.during("reading the organization")?.is_some() {
                return Ok(Organization::NotOurs);
            }
            found
        }
    };
    // One that the types can't hold is told of by its own watch; nothing can be said of it until it is corrected.
    let selected = match selected {
        None => None,
        Some(DeserializeGuard(Ok(found))) => Some(found),
        Some(DeserializeGuard(Err(_))) => return Ok(Organization::NotYet),
    };
    // One that is being deleted is worked no more, whatever still holds it.
    let Some(organization) = selected.filter(|organization| organization.metadata.deletion_timestamp.is_none()) else {
        return Ok(Organization::Absent);
    };
    Ok(match context.sessions.standing(name) {
        Standing::NotReady { message, .. } => Organization::NotReady(message, Box::new(organization)),
        Standing::Ready(session) if session.serves(&organization) => Organization::Ready(Box::new(organization), session),
        Standing::NotYet | Standing::Ready(_) => Organization::NotYet,
    })
}
