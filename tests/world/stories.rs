//! The three stories that every fault strikes: a create, an update and a delete of one client. It must not plan a fault.

use serde_json::json;

use crate::world::World;

/// The name of the client.
pub const NAME: &str = "billing";

/// What is going on when something fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// The object is applied for the first time.
    Create,
    /// Its spec is edited.
    Update,
    /// It is deleted.
    Delete,
}

impl Story {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Create, Self::Update, Self::Delete];

    /// What there is before the story.
    pub async fn begin(self, world: &World) {
        if self != Self::Create {
            world.declare(NAME, &json!({}));
            world.settles(NAME).await;
        }
    }

    /// What a person does.
    pub async fn act(self, world: &World) {
        match self {
            Self::Create => world.declare(NAME, &json!({})),
            Self::Update => world.declare(NAME, &json!({ "accessTokenValiditySeconds": 7200 })),
            Self::Delete => world.remove("genesysoauthclients", NAME).await,
        }
    }

    /// What must come of it.
    pub async fn ends_well(self, world: &World) {
        match self {
            Self::Create => world.settles(NAME).await,
            Self::Update => {
                world.settles(NAME).await;
                assert_eq!(world.client_of(NAME).access_token_validity_seconds, 7200);
            }
            Self::Delete => world.goes(NAME).await,
        }
    }
}
