//! Server-side apply as a request: what a configuration must be, and what becomes of it; who owns which field is decided in
//! `managed`.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::codec;
use super::error::{ApiError, Result};
use super::handler::{Outcome, write, written};
use super::managed::{self, Operation, Ownership};
use super::object;
use super::request::{FieldValidation, Request, Target, WriteOptions};
use super::resource::Versioned;
use super::table::Form;
use super::typed;
use super::world::World;

/// Carries out a server-side apply.
pub(crate) fn apply(
    world: &World,
    of: &Versioned,
    target: &Target,
    request: &Request,
    options: &WriteOptions,
    form: Form,
    now: Timestamp,
) -> Result<Outcome> {
    let mut config = codec::read_body(request, of)?;
    check_config(&config, of)?;
    if !object::list(&config, &["metadata", "managedFields"]).is_empty() {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let sent = object::name(&config);
    let nameless = sent.is_empty();
    if nameless {
        object::set_metadata(&mut config, "name", Some(target.name.clone().into()));
    } else if sent != target.name {
        return Err(ApiError::bad_request(format!("the name of the object ({sent}) does not match the name on the URL ({})", target.name)));
    }
    let decoded = decode_config(&config, of, options, target)?;
    let ownership = if options.force { Ownership::Force } else { Ownership::Respect };
    let moment = object::moment(now);
    let done = write(world, of, target, options, now, |write| {
        let mut config = decoded.object;
        write.check_place(&mut config, &target.name)?;
        let manager = write.manager(Operation::Apply);
        let asked_version = object::text(&config, &["metadata", "resourceVersion"]).to_owned();
        let asked_uid = object::uid(&config).to_owned();
        match write.live(&target.name) {
            Ok(old) => {
                let shown = codec::present(&old, of);
                object::set_metadata(&mut config, "resourceVersion", None);
                if !asked_version.is_empty() && asked_version != object::text(&old, &["metadata", "resourceVersion"]) {
                    return Err(ApiError::modified(&of.kind.id, &target.name));
                }
                let mut applied = managed::apply(&shown, &config, &manager, ownership, write.view(), &moment)?;
                if !asked_uid.is_empty() {
                    object::set_metadata(&mut applied, "uid", Some(asked_uid.into()));
                }
                let decoded = codec::decode(applied, of, FieldValidation::Ignore)?;
                write.update(&old, decoded.object, Operation::Apply).map(|object| (200, object))
            }
            Err(missing) if !target.subresource.is_empty() => Err(missing),
            Err(_) if !asked_uid.is_empty() => {
                let why = format!("uid mismatch: the provided object specified uid {asked_uid}, and no existing object was found");
                Err(ApiError::conflict(&of.kind.id, &target.name, &why))
            }
            Err(missing) if !asked_version.is_empty() => Err(missing),
            Err(_) if nameless => Err(ApiError::bad_request(format!(
                "the name of the object ({} based on URL) was undeterminable: name must be provided",
                target.name
            ))),
            Err(_) => {
                let skeleton = Value::Object(Map::new());
                let applied = managed::apply(&skeleton, &config, &manager, ownership, write.view(), &moment)?;
                let decoded = codec::decode(applied, of, FieldValidation::Ignore)?;
                write.create(decoded.object, Operation::Apply).map(|object| (201, object))
            }
        }
    })?;
    Ok(written(done, of, form, decoded.warnings, now))
}

fn check_config(config: &Value, of: &Versioned) -> Result<()> {
    let (version, expected) = (object::text(config, &["apiVersion"]), of.api_version());
    if version != expected {
        return Err(ApiError::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, expected: {expected}"
        )));
    }
    let kind = object::text(config, &["kind"]);
    if kind != of.kind.kind {
        let gvk = |kind: &str| format!("{version}, Kind={kind}");
        return Err(ApiError::bad_request(format!(
            "Incorrect kind specified in apply patch. Specified patch kind: {}, expected: {}",
            gvk(kind),
            gvk(&of.kind.kind)
        )));
    }
    Ok(())
}

/// Members that the schema does not know cannot be owned, so an apply of a built-in kind refuses them.
fn decode_config(config: &Value, of: &Versioned, options: &WriteOptions, target: &Target) -> Result<codec::Decoded> {
    let decoded = codec::decode(config.clone(), of, options.field_validation)?;
    if let Some(unknown) = codec::unknown(config, of).first() {
        let place = if target.namespace.is_empty() { format!("/{}", target.name) } else { format!("{}/{}", target.namespace, target.name) };
        let version = if of.group().is_empty() { format!("/{}", of.version.name) } else { of.api_version() };
        let told = format!(
            "failed to create typed patch object ({place}; {version}, Kind={}): .{unknown}: field not declared in schema",
            of.kind.kind
        );
        return Err(ApiError::internal(told));
    }
    // Two items of one key cannot both be applied.
    if let Some(duplicate) = typed::duplicate(&decoded.object, of.version.schema.root()) {
        return Err(ApiError::internal(format!(
            "failed to create manager for existing fields: failed to convert new object to smd typed: {duplicate}"
        )));
    }
    Ok(decoded)
}
