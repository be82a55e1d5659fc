//! A container's environment: where values come from and how `$(NAME)` is filled in (section 13 of the rules).

mod expand;
pub(crate) mod fields;

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvFromSource, EnvVar, Pod, Secret, Service};
use kube::Api;
use kube::api::{ListParams, ResourceExt};

use crate::kit::Kit;
pub(crate) use expand::expand;

/// Why an environment could not be made; shown as `CreateContainerConfigError` (N174).
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvironmentError {
    /// A ConfigMap or Secret is missing.
    #[error("{kind} \"{name}\" not found")]
    Missing { kind: &'static str, name: String },
    /// It has no such key.
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    MissingKey { kind: &'static str, namespace: String, name: String, key: String },
    /// It could not be read.
    #[error("cannot read {kind} \"{name}\"")]
    Read {
        kind: &'static str,
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
    /// The services could not be read, so that their variables are not known (N178).
    #[error("services have not yet been read at least once, cannot construct envvars")]
    Services(#[source] Box<kube::Error>),
    /// A field that pods do not have.
    #[error("{0}")]
    Field(String),
}

/// Variables in order; a later one of the same name has replaced the former.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    order: Vec<String>,
    values: BTreeMap<String, String>,
}

impl Environment {
    fn set(&mut self, name: String, value: String) {
        if self.values.insert(name.clone(), value).is_none() {
            self.order.push(name);
        }
    }

    /// The value of a variable.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Fills `$(NAME)` in (N170).
    pub(crate) fn expand_all(&self, words: &[String]) -> Vec<String> {
        words.iter().map(|word| expand(word, |name| self.get(name).map(str::to_owned))).collect()
    }

    /// Names and values in order.
    pub(crate) fn into_pairs(mut self) -> Vec<(String, String)> {
        self.order.into_iter().filter_map(|name| self.values.remove_entry(&name)).collect()
    }
}

/// Objects read for one environment, each once.
struct Sources<'a> {
    kit: &'a Kit,
    namespace: String,
    maps: BTreeMap<String, Option<BTreeMap<String, String>>>,
    secrets: BTreeMap<String, Option<BTreeMap<String, String>>>,
}

impl Sources<'_> {
    async fn map(&mut self, name: &str) -> Result<Option<&BTreeMap<String, String>>, EnvironmentError> {
        if !self.maps.contains_key(name) {
            let api: Api<ConfigMap> = Api::namespaced(self.kit.client.clone(), &self.namespace);
            let read = api.get_opt(name).await.map_err(|source| read_error("configmap", name, source))?;
            self.maps.insert(name.to_owned(), read.map(|map| map.data.unwrap_or_default()));
        }
        Ok(self.maps.get(name).and_then(Option::as_ref))
    }

    async fn secret(&mut self, name: &str) -> Result<Option<&BTreeMap<String, String>>, EnvironmentError> {
        if !self.secrets.contains_key(name) {
            let api: Api<Secret> = Api::namespaced(self.kit.client.clone(), &self.namespace);
            let read = api.get_opt(name).await.map_err(|source| read_error("secret", name, source))?;
            let texts = read.map(|secret| {
                let data = secret.data.unwrap_or_default().into_iter();
                data.map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned())).collect()
            });
            self.secrets.insert(name.to_owned(), texts);
        }
        Ok(self.secrets.get(name).and_then(Option::as_ref))
    }
}

fn read_error(kind: &'static str, name: &str, source: kube::Error) -> EnvironmentError {
    EnvironmentError::Read { kind, name: name.to_owned(), source: Box::new(source) }
}

/// The environment of a container (N169).
pub(crate) async fn build(
    kit: &Kit,
    pod: &Pod,
    ips: &[IpAddr],
    container: &Container,
) -> Result<Environment, EnvironmentError> {
    let namespace = pod.namespace().unwrap_or_default();
    let service_vars = service_variables(kit, pod, &namespace).await?;
    let mut sources = Sources { kit, namespace, maps: BTreeMap::new(), secrets: BTreeMap::new() };
    let mut environment = Environment::default();
    for source in container.env_from.iter().flatten() {
        from_source(&mut sources, source, &mut environment).await?;
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (_, None) => {
                let known =
                    |name: &str| environment.get(name).map(str::to_owned).or_else(|| service_vars.get(name).cloned());
                Some(expand(variable.value.as_deref().unwrap_or_default(), known))
            }
            _ => from_reference(&mut sources, pod, ips, container, variable).await?,
        };
        if let Some(value) = value {
            environment.set(variable.name.clone(), value);
        }
    }
    for (name, value) in service_vars {
        if environment.get(&name).is_none() {
            environment.set(name, value);
        }
    }
    Ok(environment)
}

async fn from_source(
    sources: &mut Sources<'_>,
    source: &EnvFromSource,
    environment: &mut Environment,
) -> Result<(), EnvironmentError> {
    let prefix = source.prefix.clone().unwrap_or_default();
    let (kind, name, optional, found) = if let Some(reference) = &source.config_map_ref {
        let found = sources.map(&reference.name).await?.cloned();
        ("configmap", &reference.name, reference.optional, found)
    } else if let Some(reference) = &source.secret_ref {
        let found = sources.secret(&reference.name).await?.cloned();
        ("secret", &reference.name, reference.optional, found)
    } else {
        return Ok(());
    };
    match found {
        Some(values) => {
            for (key, value) in values {
                environment.set(format!("{prefix}{key}"), value);
            }
            Ok(())
        }
        None if optional == Some(true) => Ok(()),
        None => Err(EnvironmentError::Missing { kind, name: name.clone() }),
    }
}

/// The value of a variable with `valueFrom`; `None` when it is optional and not there.
async fn from_reference(
    sources: &mut Sources<'_>,
    pod: &Pod,
    ips: &[IpAddr],
    container: &Container,
    variable: &EnvVar,
) -> Result<Option<String>, EnvironmentError> {
    let Some(from) = &variable.value_from else { return Ok(None) };
    if let Some(field) = &from.field_ref {
        let value = fields::pod_field(pod, ips, &sources.kit.facts.addresses, &field.field_path);
        return value
            .map(Some)
            .ok_or_else(|| EnvironmentError::Field(format!("unsupported fieldPath: {}", field.field_path)));
    }
    if let Some(resource) = &from.resource_field_ref {
        return fields::resource(sources.kit, pod, Some(container), resource)
            .map(Some)
            .map_err(EnvironmentError::Field);
    }
    let namespace = sources.namespace.clone();
    let (kind, name, key, optional, found) = if let Some(reference) = &from.config_map_key_ref {
        let found = sources.map(&reference.name).await?;
        ("configmap", &reference.name, &reference.key, reference.optional, found)
    } else if let Some(reference) = &from.secret_key_ref {
        let found = sources.secret(&reference.name).await?;
        ("secret", &reference.name, &reference.key, reference.optional, found)
    } else {
        return Ok(None);
    };
    let value = found.map(|values| values.get(key).cloned());
    match value {
        Some(Some(value)) => Ok(Some(value)),
        _ if optional == Some(true) => Ok(None),
        None => Err(EnvironmentError::Missing { kind, name: name.clone() }),
        Some(None) => {
            let kind = if kind == "secret" { "Secret" } else { "ConfigMap" };
            Err(EnvironmentError::MissingKey { kind, namespace, name: name.clone(), key: key.clone() })
        }
    }
}

/// Variables that name services (N176, N177). The API server is named by its advertised address, because nothing routes
/// cluster addresses on these nodes.
async fn service_variables(
    kit: &Kit,
    pod: &Pod,
    namespace: &str,
) -> Result<BTreeMap<String, String>, EnvironmentError> {
    let mut out = BTreeMap::new();
    let links = pod.spec.as_ref().and_then(|spec| spec.enable_service_links).unwrap_or(true);
    if links {
        let api: Api<Service> = Api::namespaced(kit.client.clone(), namespace);
        let services = match api.list(&ListParams::default()).await {
            Ok(services) => services.items,
            // A node that may not read services still runs pods; the API server is named below.
            Err(kube::Error::Api(status)) if status.code == 403 => Vec::new(),
            Err(source) => return Err(EnvironmentError::Services(Box::new(source))),
        };
        // The API server is told below, by an address that can be reached.
        let is_api = |service: &Service| namespace == "default" && service.name_any() == "kubernetes";
        for service in services.iter().filter(|service| !is_api(service)) {
            describe(service, &mut out);
        }
    }
    let (host, port) = &kit.config.api_server;
    let ports = [(Some("https".to_owned()), i32::from(*port), "TCP".to_owned())];
    variables("KUBERNETES", host, &ports, &mut out);
    Ok(out)
}

fn describe(service: &Service, out: &mut BTreeMap<String, String>) {
    let Some(spec) = &service.spec else { return };
    let Some(ip) = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None") else { return };
    let name = service.name_any().to_uppercase().replace('-', "_");
    let ports = spec.ports.iter().flatten();
    let ports: Vec<_> = ports
        .map(|port| (port.name.clone(), port.port, port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())))
        .collect();
    if !ports.is_empty() {
        variables(&name, ip, &ports, out);
    }
}

fn variables(name: &str, ip: &str, ports: &[(Option<String>, i32, String)], out: &mut BTreeMap<String, String>) {
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    out.insert(format!("{name}_SERVICE_HOST"), ip.to_owned());
    for (position, (port_name, port, protocol)) in ports.iter().enumerate() {
        let url = format!("{}://{host}:{port}", protocol.to_lowercase());
        if position == 0 {
            out.insert(format!("{name}_SERVICE_PORT"), port.to_string());
            out.insert(format!("{name}_PORT"), url.clone());
        }
        if let Some(port_name) = port_name.as_ref().filter(|name| !name.is_empty()) {
            let port_name = port_name.to_uppercase().replace('-', "_");
            out.insert(format!("{name}_SERVICE_PORT_{port_name}"), port.to_string());
        }
        let prefix = format!("{name}_PORT_{port}_{protocol}");
        out.insert(prefix.clone(), url);
        out.insert(format!("{prefix}_PROTO"), protocol.to_lowercase());
        out.insert(format!("{prefix}_PORT"), port.to_string());
        out.insert(format!("{prefix}_ADDR"), ip.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_told_in_the_usual_names_n177() {
        let service: Service = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "my-db"},
            "spec": {"clusterIP": "10.0.0.5", "ports": [{"name": "sql-x", "port": 5432, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]},
        }))
        .unwrap();
        let mut out = BTreeMap::new();
        describe(&service, &mut out);
        let expect = [
            ("MY_DB_PORT", "tcp://10.0.0.5:5432"),
            ("MY_DB_PORT_53_UDP", "udp://10.0.0.5:53"),
            ("MY_DB_PORT_53_UDP_ADDR", "10.0.0.5"),
            ("MY_DB_PORT_53_UDP_PORT", "53"),
            ("MY_DB_PORT_53_UDP_PROTO", "udp"),
            ("MY_DB_PORT_5432_TCP", "tcp://10.0.0.5:5432"),
            ("MY_DB_PORT_5432_TCP_ADDR", "10.0.0.5"),
            ("MY_DB_PORT_5432_TCP_PORT", "5432"),
            ("MY_DB_PORT_5432_TCP_PROTO", "tcp"),
            ("MY_DB_SERVICE_HOST", "10.0.0.5"),
            ("MY_DB_SERVICE_PORT", "5432"),
            ("MY_DB_SERVICE_PORT_SQL_X", "5432"),
        ];
        let got: Vec<_> = out.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(got, expect);
    }
}
