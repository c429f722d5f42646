//! Looks at a client that is to be adopted, and at a Secret that is to be taken over (talks to the network). Changes nothing.

use k8s_openapi::api::core::v1::Secret;
use secrecy::SecretString;

use super::{
    decide::adopt,
    observation::{AdoptedSecret, Adoption, ClientView, Observation, Organization, SecretView, client_nonce, known_ids},
    observe::namespace_labels,
    observe_platform::{is_older, unambiguous},
    validate::{self, Circle, Powers, platform_grant},
};
use crate::{
    api::{GenesysOAuthClient, GenesysOrganization, oauth_client::IntentOperation},
    controller::{context::Context, sessions::Session},
    genesys::{self, ClientCredential, ClientState, OAuthClient, Probe, Resolved, RoleRequest, probe},
    secret::{Credential, Published, TAKE_OVER},
};

/// Looks at the client that `spec.adopt` names, as long as no client of the object is known. None: it is not to be looked at yet.
pub async fn look(
    context: &Context,
    session: &Session,
    secret: Option<Result<SecretString, String>>,
    seen: &Observation,
) -> Result<Option<Adoption>, genesys::Error> {
    let status = seen.status();
    let (Some(wanted), Ok(local), Some(Ok(declared)), Some(_), Organization::Ready(organization, _)) =
        (&seen.object.spec.adopt, &seen.local, &seen.declared, &seen.family, &seen.organization)
    else {
        return Ok(None);
    };
    let free = status.intent.as_ref().is_none_or(|intent| intent.operation == IntentOperation::Adopt);
    // Which other objects name the client is known only when the watches have shown all.
    if status.client_id.is_some() || !free || !context.fleet.is_complete() {
        return Ok(None);
    }
    let mut adoption = Adoption { client: ClientView::Missing, allowed: Ok(()), claimed_by: None, secret: AdoptedSecret::NotTried };
    let client = match session.platform.get_client(&wanted.client_id).await {
        Ok(client) => client,
        Err(error) if error.is_not_found() => return Ok(Some(adoption)),
        Err(error) => return Err(error),
    };
    let actual = powers(session, &client).await?;
    adoption.allowed = validate::adoptable(&seen.object, local, organization, &declared.resolved, &actual, &declared.circle);
    adoption.claimed_by = match keeper(context, &seen.object, &wanted.client_id) {
        Some(keeper) => Some(keeper),
        None => older_claim(context, organization, &seen.object, &actual).await,
    };
    adoption.client = ClientView::Present(Box::new(client));
    adoption.secret = match secret {
        None => AdoptedSecret::NotNeeded,
        Some(Err(missing)) => AdoptedSecret::Absent(missing),
        Some(Ok(_)) if adopt::obstacle(seen, &adoption).is_some() => AdoptedSecret::NotTried,
        Some(Ok(secret)) => {
            let credential = ClientCredential { client_id: wanted.client_id.clone(), client_secret: secret.clone() };
            let found = probe(&session.platform, &credential, platform_grant(local.grant), &session.organization_id).await?;
            AdoptedSecret::Tried(secret, found)
        }
    };
    Ok(Some(adoption))
}

/// What a client can do now, with the names that `access` may list. What has no name any more is judged by its id.
async fn powers(session: &Session, client: &OAuthClient) -> Result<Powers, genesys::Error> {
    if client.grant_type != genesys::GrantType::ClientCredentials {
        return Ok(Powers { scopes: client.scopes.clone(), ..Powers::default() });
    }
    let mut resolved = Resolved::default();
    for pair in &client.role_divisions {
        let request = RoleRequest { role: pair.role_id.clone(), divisions: vec![pair.division_id.clone()] };
        let found = session.directory.resolve(&session.platform, &[request], &[]).await?.unwrap_or_else(|_| Resolved {
            role_names: [(pair.role_id.clone(), pair.role_id.clone())].into(),
            division_names: [(pair.division_id.clone(), pair.division_id.clone())].into(),
            ..Resolved::default()
        });
        resolved.role_names.extend(found.role_names);
        resolved.division_names.extend(found.division_names);
    }
    Ok(Powers { resolved: unambiguous(session, resolved).await?, scopes: vec![] })
}

/// Another object whose client it is by its status. It stays its client though it lost its marker, and however young that object is.
fn keeper(context: &Context, object: &GenesysOAuthClient, id: &str) -> Option<String> {
    let keeps = |other: &GenesysOAuthClient| {
        other.metadata.uid != object.metadata.uid
            && other.spec.organization_ref == object.spec.organization_ref
            && other.status.as_ref().is_some_and(|status| known_ids(status).contains(id))
    };
    let place = |other: &GenesysOAuthClient| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("{}/{}", text(&other.metadata.namespace), text(&other.metadata.name))
    };
    context.fleet.objects().iter().filter(|other| keeps(other)).map(|other| place(other)).min()
}

/// An older object that names the same client. One whose namespace may not have that client claims nothing: it would only stand in the way.
async fn older_claim(
    context: &Context,
    organization: &GenesysOrganization,
    object: &GenesysOAuthClient,
    actual: &Powers,
) -> Option<String> {
    let names = |other: &GenesysOAuthClient| other.spec.adopt.as_ref().map(|adopt| adopt.client_id.clone());
    let mut others = context.fleet.objects();
    // The watches keep no order, and the first claim that counts is told.
    others.sort_by_key(|other| (other.metadata.namespace.clone(), other.metadata.name.clone()));
    for other in others {
        let claims = names(&other) == names(object) && other.spec.organization_ref == object.spec.organization_ref;
        if !claims || !is_older(&other, object) || other.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let namespace = other.metadata.namespace.clone().unwrap_or_default();
        let allowed = match (validate::locally(&other), namespace_labels(context, &namespace).await) {
            (Err(_), _) => false,
            // What could not be asked is taken for a claim: the next look decides.
            (_, Err(_)) => true,
            (Ok(local), Ok(namespace_labels)) => {
                let circle = Circle { namespace_labels, adopts: true, ..Circle::default() };
                validate::adoptable(&other, &local, organization, &Resolved::default(), actual, &circle).is_ok()
            }
        };
        if allowed {
            return Some(format!("{namespace}/{}", other.metadata.name.as_deref().unwrap_or_default()));
        }
    }
    None
}

/// A Secret that its owner offers to this object is taken over if it holds a credential of the object's client, or of the one that it is to
/// adopt, and that credential works.
pub async fn offered(
    secret: Secret,
    held: Credential,
    session: Option<&Session>,
    seen: &mut Observation,
) -> Result<SecretView, genesys::Error> {
    let status = seen.status();
    let adopted = seen.object.spec.adopt.as_ref().map(|adopt| adopt.client_id.clone());
    let refused = |why: &str| Ok(SecretView::Foreign(format!("its annotation {TAKE_OVER} lets this object have it, but {why}")));
    let Some(wanted) = status.client_id.clone().or(adopted) else {
        return refused("this object has no client and adopts none, so that no credential in it could be its own");
    };
    if held.client_id != wanted {
        return refused(&format!("it does not hold the credential of client {wanted} under the keys of spec.credentialsSecret"));
    }
    let Some(session) = session else { return refused("the organization is not ready, so that its credential can't be tried") };
    let public = seen.object.spec.public_client;
    let found = match &held.client_secret {
        None if !public => return refused("it holds no secret"),
        None => match session.platform.get_client(&wanted).await {
            Ok(client) if client.state == ClientState::Active => Probe::Proven,
            Ok(_) => Probe::Undecided { reason: "the client is not active".to_owned() },
            Err(error) if error.is_not_found() => return refused("its client does not exist"),
            Err(error) => return Err(error),
        },
        Some(client_secret) => {
            let credential = ClientCredential { client_id: wanted.clone(), client_secret: client_secret.clone() };
            probe(&session.platform, &credential, platform_grant(seen.object.spec.grant_type), &session.organization_id).await?
        }
    };
    match found {
        Probe::Proven => {}
        Probe::InvalidClient { description } => return refused(&format!("the platform refuses the credential in it ({description})")),
        Probe::Mismatch { reason } | Probe::Undecided { reason } => return refused(&format!("its credential was not proven ({reason})")),
    }
    seen.taken_over.clone_from(&secret.metadata.resource_version);
    let Some(revision) = status.revision.filter(|_| status.client_id.is_some()) else { return Ok(SecretView::Absent) };
    let credential = Credential { revision, issued_at: status.issued_at, nonce: client_nonce(&status), ..held };
    Ok(SecretView::Ours(Box::new(Published {
        uid: secret.metadata.uid.clone(),
        resource_version: secret.metadata.resource_version.clone(),
        holds_secret: credential.client_secret.is_some(),
        credential,
        intact: true,
        secret,
    })))
}
