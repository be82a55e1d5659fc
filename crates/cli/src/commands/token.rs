//! `everynode token create|list|delete`: join tokens, which are Secrets of type `bootstrap.kubernetes.io/token`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::config::Kubeconfig;

use crate::client::{ClientFlags, Connection};
use crate::config::File;
use crate::exit::CommandError;
use crate::output::{complain, say, table};

/// What Kubernetes calls such a Secret.
const SECRET_TYPE: &str = "bootstrap.kubernetes.io/token";
const SECRET_PREFIX: &str = "bootstrap-token-";
/// The group that a joining machine is in until it has its own certificate.
const JOIN_GROUP: &str = "system:bootstrappers:everynode:default-node-token";

/// Creates, lists and deletes join tokens.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  everynode token create --ttl 2h\n  everynode token list\n  everynode token delete abcdef"
)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    client: ClientFlags,
    #[command(subcommand)]
    act: Act,
}

#[derive(Subcommand)]
enum Act {
    /// Makes a token and prints the command that joins a machine with it.
    Create {
        /// How long it is good for, such as 30m or 24h; 0 means for ever
        #[arg(long, default_value = "24h", value_name = "DURATION", value_parser = duration)]
        ttl: SignedDuration,
        /// A note on what it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Lists the tokens, without their secret halves.
    List,
    /// Deletes a token by its id (the part before the dot) or whole.
    Delete {
        /// The token or its id
        token: String,
    },
}

/// `0`, or a duration such as `30m` or `1h30m`.
pub(super) fn duration(text: &str) -> Result<SignedDuration, String> {
    match text {
        "0" => Ok(SignedDuration::ZERO),
        text => text.parse().map_err(|_| "no duration, such as 24h".to_owned()),
    }
}

/// Does it.
pub(crate) fn run(args: TokenArgs, file: &File) -> Result<(), CommandError> {
    args.client.block_on(file, async |connection| {
        let secrets: Api<Secret> = Api::namespaced(connection.client.clone(), "kube-system");
        match args.act {
            Act::Create { ttl, description } => create(&secrets, &connection, ttl, description).await,
            Act::List => list(&secrets).await,
            Act::Delete { token } => delete(&secrets, &token).await,
        }
    })
}

async fn create(
    secrets: &Api<Secret>,
    connection: &Connection,
    ttl: SignedDuration,
    description: Option<String>,
) -> Result<(), CommandError> {
    let (id, secret) = (random(6)?, random(16)?);
    let mut data = BTreeMap::from([
        ("token-id".to_owned(), id.clone()),
        ("token-secret".to_owned(), secret.clone()),
        ("usage-bootstrap-authentication".to_owned(), "true".to_owned()),
        ("usage-bootstrap-signing".to_owned(), "true".to_owned()),
        ("auth-extra-groups".to_owned(), JOIN_GROUP.to_owned()),
    ]);
    if !ttl.is_zero() {
        let expiration = Timestamp::now() + ttl;
        data.insert("expiration".to_owned(), expiration.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    }
    data.extend(description.map(|text| ("description".to_owned(), text)));
    let token = Secret {
        metadata: ObjectMeta { name: Some(format!("{SECRET_PREFIX}{id}")), ..ObjectMeta::default() },
        type_: Some(SECRET_TYPE.to_owned()),
        string_data: Some(data),
        ..Secret::default()
    };
    let created = secrets.create(&PostParams::default(), &token).await;
    created.map_err(|source| CommandError::failed("cannot create the token", source))?;
    say(&format!("{id}.{secret}"));
    let hash = connection.ca_hash.as_deref().map(|hash| format!(" --ca-cert-hash {hash}")).unwrap_or_default();
    let server = advertised(&connection.client).await.unwrap_or_else(|| connection.url.clone());
    say(&format!("\n# on the machine that joins:\neverynode agent --server {server} --token {id}.{secret}{hash}"));
    if is_loopback(&server) {
        complain(
            "note: other machines cannot reach this address; start the server with --listen 0.0.0.0:6443, or name one that \
             they can reach with --advertise-address",
        );
    }
    Ok(())
}

/// Where the server itself says that it is reached: the kubeconfig may name an address that is good on its own machine only.
async fn advertised(client: &kube::Client) -> Option<String> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-public");
    let text = maps.get_opt("cluster-info").await.ok()??.data?.remove("kubeconfig")?;
    let read = Kubeconfig::from_yaml(&text).ok()?;
    read.clusters.into_iter().next()?.cluster?.server
}

fn is_loopback(url: &str) -> bool {
    let host = url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn list(secrets: &Api<Secret>) -> Result<(), CommandError> {
    let tokens = secrets.list(&ListParams::default().fields(&format!("type={SECRET_TYPE}"))).await;
    let tokens = tokens.map_err(|source| CommandError::failed("cannot list the tokens", source))?;
    let rows: Vec<_> = tokens.items.iter().map(row).collect();
    table(&["TOKEN", "EXPIRES", "GROUPS", "DESCRIPTION"], &rows);
    Ok(())
}

fn row(secret: &Secret) -> Vec<String> {
    let field = |name: &str| {
        let value = secret.data.as_ref().and_then(|data| data.get(name));
        value.map_or_else(|| "<none>".to_owned(), |bytes| String::from_utf8_lossy(&bytes.0).into_owned())
    };
    vec![
        format!("{}.<hidden>", field("token-id")),
        field("expiration"),
        field("auth-extra-groups"),
        field("description"),
    ]
}

async fn delete(secrets: &Api<Secret>, token: &str) -> Result<(), CommandError> {
    let id = token.split('.').next().unwrap_or(token);
    let deleted = secrets.delete(&format!("{SECRET_PREFIX}{id}"), &DeleteParams::default()).await;
    deleted.map_err(|source| CommandError::failed(format!("cannot delete the token {id}"), source))?;
    say(&format!("token {id} deleted"));
    Ok(())
}

/// Letters and digits from the system's generator, without bias (36 values in 252 of 256 bytes).
fn random(length: usize) -> Result<String, CommandError> {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::with_capacity(length);
    let mut source = std::fs::File::open("/dev/urandom")
        .map_err(|source| CommandError::failed("cannot open the random generator", source))?;
    while text.len() < length {
        let mut byte = [0];
        std::io::Read::read_exact(&mut source, &mut byte)
            .map_err(|source| CommandError::failed("cannot read the random generator", source))?;
        if byte[0] < 252 {
            text.push(char::from(ALPHABET[usize::from(byte[0] % 36)]));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_form_that_kubernetes_asks_for() {
        let text = random(16).expect("random");
        assert!(
            text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()),
            "{text}"
        );
        assert_ne!(text, random(16).expect("random"));
    }
}
