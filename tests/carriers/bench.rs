//! Both simulators and what a pass needs of the operator, made for one test. Holds no expectation of its own.

use std::{collections::BTreeMap, sync::Arc};

use clap::Parser;
use genesys_cloud_simulator::{
    ManualClock, OPERATOR_CLIENT_ID, OPERATOR_CLIENT_SECRET, Operation, Served, Simulator,
    kubernetes::{self, GroupResource, Kubernetes, User},
};
use genesys_oauth_operator::{
    api::{self, GenesysOAuthClient, GenesysOrganization, condition::Reason},
    controller::{
        context::{Context, SystemChance},
        fleet::Policies,
        gate::Gates,
        memory::Memory,
        oauth_client::{integrations, pass::Pass},
        sessions::{Session, opened_for},
        watch::Malformed,
    },
    genesys::{self, Budget, ClientCredential, Directory, HttpTransport, Platform, Regions, Scanner, Timeouts},
    observability::{
        events::{Audience, Events},
        metrics::Metrics,
    },
    secret::Credential,
    settings::Settings,
};
use serde_json::{Value, json};

/// The namespace of the object and its workloads.
pub const TEAM: &str = "team-a";
/// The annotation of a restart.
pub const KEY: &str = "restart.oauth.genesys-operator.io/billing";
/// The operator as the Kubernetes API knows it: it may do what the rules below say, and no more.
pub const OPERATOR: &str = "operator";

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

/// Both simulators, and what a pass needs of the operator.
pub struct Bench {
    pub kubernetes: Kubernetes,
    pub clock: ManualClock,
    pub simulator: Simulator,
    pub context: Context,
    pub session: Session,
    pub organization: GenesysOrganization,
    _served: Served,
}

impl Bench {
    /// A bench whose operator has these flags, and may do this with workloads.
    pub async fn new(flags: &[&str], verbs: &[&str]) -> Self {
        let clock = ManualClock::default();
        let kubernetes = Kubernetes::new(kubernetes::Settings::new(1, Arc::new(clock.clone())));
        for crd in api::crds() {
            kubernetes.install_crd(&crd).expect("the CRDs are taken");
        }
        for object in furniture(verbs) {
            kubernetes.create(object).expect("the furniture is taken");
        }
        let settings = genesys_cloud_simulator::Settings { seed: Some(1), ..genesys_cloud_simulator::Settings::default() };
        let simulator = Simulator::new(settings, Arc::new(clock.clone()));
        let served = simulator.serve(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let endpoint = format!("lab={0},{0}", served.url()).parse().expect("loopback endpoints");
        let regions = Regions::compiled().with_endpoints([endpoint]);
        let transport = Arc::new(HttpTransport::new().expect("a transport"));
        let credential = ClientCredential { client_id: OPERATOR_CLIENT_ID.into(), client_secret: OPERATOR_CLIENT_SECRET.into() };
        let budget = Arc::new(Budget::new(6000));
        let endpoints = regions.get("lab").expect("just added");
        let platform = Platform::new(transport.clone(), endpoints, credential.clone(), budget, Timeouts::default());
        let organization = organization(&["*"]);
        let session = Session {
            version: 1,
            scanner: Scanner::new(platform.clone()),
            survey: genesys_oauth_operator::controller::organization::survey::Survey::default(),
            platform,
            directory: Directory::new(),
            credential,
            organization_id: "an-organization".into(),
            opened_for: opened_for(&organization),
        };
        let client = kube::Client::new(kubernetes.service(User::named(OPERATOR)), "default");
        let settings = Flags::parse_from([&["operator"], flags].concat()).settings;
        let events = Events::told(
            Audience::Cluster,
            kube::Client::new(kubernetes.service(User::admin()), "default"),
            Arc::new(SystemChance),
            "epoch".into(),
        );
        let context = Context {
            client,
            settings,
            regions,
            transport,
            chance: Arc::new(SystemChance),
            memory: Memory::default(),
            fleet: Arc::default(),
            policies: Policies::default(),
            sessions: Arc::default(),
            gates: Gates::new(10),
            malformed: Malformed::default(),
            events,
            epoch: "epoch".into(),
            cluster_id: "cluster".into(),
            tenure: genesys_oauth_operator::lease::Tenure::unlimited(),
            pulse: Arc::default(),
            metrics: Metrics::default(),
        };
        Self { kubernetes, clock, simulator, context, session, organization, _served: served }
    }

    /// One that may restart workloads.
    pub async fn allowed() -> Self {
        Self::new(&["--rollout-targets", "Allowed"], &["get", "patch"]).await
    }

    /// The object with these members of spec, stored.
    pub fn declare(&self, members: &Value) -> GenesysOAuthClient {
        let mut object = json!({
            "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOAuthClient",
            "metadata": {"name": "billing", "namespace": TEAM},
            "spec": {"organizationRef": {"name": "acme"}, "grantType": "ClientCredentials", "roles": [{"role": "employee"}]},
        });
        for (member, value) in members.as_object().expect("members") {
            object["spec"][member] = value.clone();
        }
        self.kubernetes.apply_manifest(&object.to_string()).expect("the object is taken");
        let stored = self.kubernetes.get(&resource(api::GROUP, "genesysoauthclients"), TEAM, "billing");
        serde_json::from_value(stored.expect("stored")).expect("an object")
    }

    pub fn targets(&self, targets: &[(&str, &str)]) -> GenesysOAuthClient {
        let targets: Vec<Value> = targets.iter().map(|(kind, name)| json!({"kind": kind, "name": name})).collect();
        self.declare(&json!({ "rolloutTargets": targets }))
    }

    pub fn workload(&self, plural: &str, name: &str) -> Value {
        self.kubernetes.get(&resource("apps", plural), TEAM, name).expect("a workload")
    }

    pub fn carried(&self, resource: &str, name: &str) -> Value {
        self.workload(resource, name)["spec"]["template"]["metadata"]["annotations"][KEY].clone()
    }

    /// Reasons and notes of the Events about the object.
    pub fn events(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all = self.kubernetes.list(&resource("", "events"));
        all.iter().map(|event| (text(&event["reason"]), text(&event["message"]))).collect()
    }

    pub fn count(&self, reason: &str) -> usize {
        self.events().iter().filter(|(found, _)| found == reason).count()
    }

    pub async fn write(&self, pass: &mut Pass<'_>, credential: &Credential) -> Result<Option<(Reason, String)>, genesys::Error> {
        integrations::write(pass, &self.session, &self.organization, &BTreeMap::new(), credential).await
    }

    /// A client of the platform with a secret that works.
    pub fn credential(&self, revision: i64) -> Credential {
        let (client, secret) =
            self.simulator.add_client(&json!({"name": "billing", "authorizedGrantType": "CLIENT-CREDENTIALS"})).expect("a client");
        Credential { client_id: client.id, client_secret: Some(secret.into()), revision, issued_at: None, nonce: None }
    }

    /// An integration credential that holds nothing that works.
    pub fn integration(&self, name: &str) -> String {
        self.simulator.add_integration_credential(name, "pureCloudOAuthClient", stale())
    }

    pub fn puts(&self) -> usize {
        self.simulator.calls().iter().filter(|call| call.operation == Operation::UpdateCredential).count()
    }
}

/// A resource by its group and plural.
fn resource(group: &str, plural: &str) -> GroupResource {
    GroupResource { group: group.into(), resource: plural.into() }
}

pub fn stale() -> BTreeMap<String, String> {
    [("clientId", "old"), ("clientSecret", "old")].map(|(field, value)| (field.to_owned(), value.to_owned())).into()
}

pub fn organization(integration_credentials: &[&str]) -> GenesysOrganization {
    let access = json!([{"name": "all", "namespaceSelector": {}, "integrationCredentials": integration_credentials}]);
    let object = json!({
        "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOrganization", "metadata": {"name": "acme"},
        "spec": {"region": "lab", "credentialsSecretRef": {"name": "acme"}, "access": access},
    });
    serde_json::from_value(object).expect("an organization")
}

/// The namespace, a workload of each kind, and what the operator may do with them.
fn furniture(verbs: &[&str]) -> Vec<Value> {
    let workload = |kind: &str, name: &str| {
        let template = json!({
            "metadata": {"labels": {"app": name}, "annotations": {"team": "a"}},
            "spec": {"containers": [{"name": "main", "image": "example.com/main:1"}]},
        });
        let mut spec = json!({"selector": {"matchLabels": {"app": name}}, "template": template});
        if kind != "DaemonSet" {
            spec["replicas"] = json!(3);
        }
        if kind == "StatefulSet" {
            spec["serviceName"] = json!(name);
        }
        json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": TEAM}, "spec": spec})
    };
    let rules = json!([{"apiGroups": ["apps"], "resources": ["deployments", "statefulsets", "daemonsets"], "verbs": verbs}]);
    let rbac = |kind: &str, member: &str, value: Value| {
        let mut object = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": "workloads", "namespace": TEAM},
        });
        object[member] = value;
        object
    };
    let mut binding = rbac("RoleBinding", "subjects", json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": OPERATOR}]));
    binding["roleRef"] = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "workloads"});
    let mut all = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}}),
        workload("Deployment", "web"),
        workload("StatefulSet", "db"),
        workload("DaemonSet", "agent"),
        binding,
    ];
    if !verbs.is_empty() {
        all.push(rbac("Role", "rules", rules));
    }
    all
}
