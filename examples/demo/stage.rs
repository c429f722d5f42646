//! What a scene can do: act as a person does with kubectl, look, and wait. Everything goes through the Kubernetes API, in memory or
//! not; it must not know any scene.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use genesys_cloud_simulator::{Clock as _, OPERATOR_CLIENT_ID, Simulator, TokioClock};
use genesys_oauth_operator::api::{GenesysOAuthClient, GenesysOrganization, GenesysRotationPolicy};
use k8s_openapi::{
    api::core::v1::{Namespace, Secret},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{print, tempo::Speed};

/// The namespace of the examples' clients.
pub const TEAM: &str = "contact-center";
/// The label of all that the demo makes, by which it finds it again on a cluster that is not its own.
pub const DEMO_LABEL: &str = "demo.genesys-operator.io/made-by-demo";
/// Who makes it, in `managedFields`.
const MANAGER: &str = "demo";
/// What kubectl compares with at its next apply.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// How long a scene waits for something, in real time.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks, in real time.
const LOOK: Duration = Duration::from_millis(50);

/// Where scenes are played.
#[derive(Clone)]
pub struct Stage {
    /// The Kubernetes API, as an administrator.
    pub client: Client,
    /// Genesys Cloud.
    pub platform: Simulator,
    /// The world's time.
    pub clock: TokioClock,
    /// How fast it goes.
    pub speed: Speed,
}

impl Stage {
    /// Makes or changes every object of a YAML text, as `kubectl apply` does.
    pub async fn apply(&self, manifest: &str) -> Result<()> {
        let documents: Vec<Value> = serde_yaml::from_multiple(manifest).context("reading a manifest")?;
        for document in documents.into_iter().filter(Value::is_object) {
            self.apply_one(document).await?;
        }
        Ok(())
    }

    async fn apply_one(&self, mut object: Value) -> Result<()> {
        let kind = text(&object["kind"]);
        let (namespace, name) = (text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
        let place = format!("{kind} {name}");
        let resource = match kind.as_str() {
            "Namespace" => ApiResource::erase::<Namespace>(&()),
            "Secret" => ApiResource::erase::<Secret>(&()),
            "GenesysOrganization" => ApiResource::erase::<GenesysOrganization>(&()),
            "GenesysRotationPolicy" => ApiResource::erase::<GenesysRotationPolicy>(&()),
            "GenesysOAuthClient" => ApiResource::erase::<GenesysOAuthClient>(&()),
            _ => bail!("{place}: the demo applies no such kind"),
        };
        // With it a later `kubectl apply` of the same file knows what it may remove. It would hold a Secret's values in the clear.
        if kind != "Secret" {
            object["metadata"]["annotations"] = json!({});
            object["metadata"]["annotations"][LAST_APPLIED] = format!("{object}\n").into();
        }
        // After the annotation, so that such an apply leaves the label alone.
        object["metadata"]["labels"][DEMO_LABEL] = "true".into();
        let api: Api<DynamicObject> = match namespace.as_str() {
            "" => Api::all_with(self.client.clone(), &resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &resource),
        };
        let applied = api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object)).await;
        applied.map(drop).with_context(|| format!("applying {place}"))
    }

    /// Gives the operator its credential for an organization, as the top of examples/organization.yaml tells people to.
    pub async fn credential(&self, name: &str, client_secret: &str) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": "genesys-oauth-operator" },
            "stringData": { "clientId": OPERATOR_CLIENT_ID, "clientSecret": client_secret },
        });
        self.apply_one(secret).await
    }

    /// A client's object, if it is there.
    pub async fn object(&self, namespace: &str, name: &str) -> Result<Option<GenesysOAuthClient>> {
        Ok(self.clients(namespace).get_opt(name).await?)
    }

    /// The API of the clients of a namespace.
    pub fn clients(&self, namespace: &str) -> Api<GenesysOAuthClient> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The API of the Secrets of a namespace.
    pub fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The API of the organizations.
    pub fn organizations(&self) -> Api<GenesysOrganization> {
        Api::all(self.client.clone())
    }

    /// Waits until `look` finds what it looks for; what it finds missing is told if it never comes.
    pub async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Result<Result<T, String>>) -> Result<T> {
        let deadline = tokio::time::Instant::now() + self.speed.passes_in(PATIENCE);
        loop {
            let missing = match look().await? {
                Ok(found) => return Ok(found),
                Err(missing) => missing,
            };
            ensure!(tokio::time::Instant::now() < deadline, "waited {} s in vain for {what}: {missing}", PATIENCE.as_secs());
            tokio::time::sleep(self.speed.passes_in(LOOK)).await;
        }
    }

    /// Waits until a client's object says of its present generation that it is Ready and in step with the platform.
    pub async fn settled(&self, namespace: &str, name: &str) -> Result<GenesysOAuthClient> {
        self.until(&format!("{namespace}/{name} to be Ready and Synced"), async || {
            let Some(object) = self.object(namespace, name).await? else { return Ok(Err("it does not exist".into())) };
            let conditions = object.status.iter().flat_map(|status| &status.conditions);
            let current = conditions.filter(|one| one.observed_generation == object.metadata.generation);
            let good = current.filter(|one| ["Ready", "Synced"].contains(&one.type_.as_str()) && one.status == "True").count();
            Ok(if good == 2 { Ok(object) } else { Err(format!("its conditions are {:?}", told(&object))) })
        })
        .await
    }

    /// Obtains a token with the credential in a Secret, as an application would, and says what came.
    pub async fn token(&self, namespace: &str, secret: &str) -> Result<Value> {
        let data = self.secrets(namespace).get(secret).await?.data.unwrap_or_default();
        let value =
            |key: &str| data.get(key).map(|value| String::from_utf8_lossy(&value.0).into_owned()).with_context(|| format!("no {key}"));
        let basic = BASE64_STANDARD.encode(format!("{}:{}", value("clientId")?, value("clientSecret")?));
        let request = http::Request::post(value("tokenUrl")?)
            .header("authorization", format!("Basic {basic}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from_static(b"grant_type=client_credentials"))?;
        let response = self.platform.exchange(request).await?;
        ensure!(response.status().is_success(), "the login host answers {} to the credential in Secret {secret}", response.status());
        Ok(serde_json::from_slice(response.body())?)
    }

    /// Prints the table that `kubectl get` of a kind shows.
    pub async fn table<K: Resource<DynamicType = ()>>(&self, namespace: Option<&str>) -> Result<()> {
        let request = http::Request::get(K::url_path(&(), namespace)).header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
        let table: Value = self.client.request(request.body(vec![])?).await?;
        let columns = table["columnDefinitions"].as_array().cloned().unwrap_or_default();
        let shown: Vec<usize> = (0..columns.len()).filter(|index| columns[*index]["priority"] == 0).collect();
        let head = shown.iter().map(|index| text(&columns[*index]["name"]).to_uppercase()).collect();
        let rows = table["rows"].as_array().cloned().unwrap_or_default();
        let body = rows.iter().map(|row| shown.iter().map(|index| text(&row["cells"][*index])).collect());
        print_table(&std::iter::once(head).chain(body).collect::<Vec<Vec<String>>>());
        Ok(())
    }

    /// The world's time of day.
    pub fn time(&self) -> String {
        self.clock.now().strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}

/// A JSON value as people read it.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}

fn print_table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        print::say(cells.join("   ").trim_end());
    }
}

/// The conditions of a client.
pub fn conditions(object: &GenesysOAuthClient) -> &[Condition] {
    object.status.as_ref().map_or(&[], |status| &status.conditions)
}

/// The conditions of a client, in short.
fn told(object: &GenesysOAuthClient) -> Vec<String> {
    conditions(object).iter().map(|one| format!("{}={} {}", one.type_, one.status, one.reason)).collect()
}

/// A condition of a type.
pub fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}
