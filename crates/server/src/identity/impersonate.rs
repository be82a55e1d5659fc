//! Acting as somebody else, for those who may (A205).

use std::collections::BTreeMap;

use everynode_api::status::Status;
use http::HeaderMap;
use http::request::Parts;

use super::{ANONYMOUS, AUTHENTICATED, Identity, UNAUTHENTICATED, account};
use crate::authz::{Attributes, Authorizer, refusal};

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
const AUTHENTICATION: &str = "authentication.k8s.io";
/// More values than this are refused before any is looked at.
const VALUES_MAX: usize = 256;

/// What the headers ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wish {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

/// The identity that the request's `Impersonate-*` headers ask for, if `requester` may take it on; the requester's own
/// without such headers. `attributes` are those of the request, for the words of a refusal.
pub fn impersonate(
    authorizer: &Authorizer,
    requester: Identity,
    parts: &Parts,
    attributes: &Attributes<'_>,
) -> Result<Identity, Status> {
    let Some(wish) = read(&parts.headers)? else { return Ok(requester) };
    if wish.user.is_empty() {
        return Err(Status::bad_request(format!("requested {} without impersonating a user name", go_text(&wish))));
    }
    let account = account_of(&wish.user);
    let mut wanted: Vec<Attributes<'_>> = vec![match account {
        Some((namespace, name)) => permission("", "serviceaccounts", "", namespace, name),
        None => permission("", "users", "", "", &wish.user),
    }];
    wanted.extend(wish.groups.iter().map(|group| permission("", "groups", "", "", group)));
    if !wish.uid.is_empty() {
        wanted.push(permission(AUTHENTICATION, "uids", "", "", &wish.uid));
    }
    for (key, values) in &wish.extra {
        wanted.extend(values.iter().map(|value| permission(AUTHENTICATION, "userextras", key, "", value)));
    }
    if !wanted.iter().all(|permission| authorizer.decide(&requester, permission).allowed) {
        let mode = match account {
            Some(_) => "serviceaccount",
            None if wish.user.starts_with("system:node:") => "arbitrary-node",
            None => "user-info",
        };
        let verb = format!("impersonate-on:{mode}:{}", attributes.verb);
        return Err(refusal(&requester.user, attributes, &verb, ""));
    }
    Ok(take_on(wish))
}

fn take_on(wish: Wish) -> Identity {
    let mut groups = wish.groups;
    if groups.is_empty()
        && let Some((namespace, _)) = account_of(&wish.user)
    {
        groups = account::groups(namespace);
    }
    let everybody = if wish.user == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
    if !groups.iter().any(|group| group == everybody) {
        groups.push(everybody.to_owned());
    }
    Identity { user: wish.user, uid: wish.uid, groups, extra: wish.extra }
}

fn account_of(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix("system:serviceaccount:")?.split_once(':')
}

fn permission<'a>(
    group: &'a str,
    resource: &'a str,
    subresource: &'a str,
    namespace: &'a str,
    name: &'a str,
) -> Attributes<'a> {
    Attributes { verb: "impersonate", group, resource, subresource, namespace, name, ..Attributes::default() }
}

fn read(headers: &HeaderMap) -> Result<Option<Wish>, Status> {
    let mut wish = Wish::default();
    let mut found = 0_usize;
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with("impersonate-") {
            continue;
        }
        let unreadable = || Status::bad_request(format!("header {name} is not readable text"));
        let text = value.to_str().map_err(|_| unreadable())?.to_owned();
        found += 1;
        if found > VALUES_MAX {
            return Err(Status::bad_request(format!("more than {VALUES_MAX} Impersonate headers")));
        }
        match name {
            USER => wish.user = text,
            UID => wish.uid = text,
            GROUP => wish.groups.push(text),
            _ => {
                let Some(key) = name.strip_prefix(EXTRA).filter(|key| !key.is_empty()) else { continue };
                let key = percent_decoded(key).unwrap_or_else(|| key.to_owned()).to_lowercase();
                wish.extra.entry(key).or_default().push(text);
            }
        }
    }
    Ok((wish != Wish::default()).then_some(wish))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(rest.next()?)? << 4 | digit(rest.next()?)?);
    }
    String::from_utf8(bytes).ok()
}

/// A user as Go prints a pointer to its struct: clients know the text.
fn go_text(wish: &Wish) -> String {
    let list = |items: &[String]| {
        let quoted: Vec<String> = items.iter().map(|item| format!("{item:?}")).collect();
        format!("[]string{{{}}}", quoted.join(", "))
    };
    let groups = if wish.groups.is_empty() { "[]string(nil)".to_owned() } else { list(&wish.groups) };
    let extra = if wish.extra.is_empty() {
        "map[string][]string(nil)".to_owned()
    } else {
        let entries: Vec<String> = wish.extra.iter().map(|(key, values)| format!("{key:?}:{}", list(values))).collect();
        format!("map[string][]string{{{}}}", entries.join(", "))
    };
    format!("&user.DefaultInfo{{Name:\"\", UID:{:?}, Groups:{groups}, Extra:{extra}}}", wish.uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn headers_become_an_identity() {
        let read = |list: &[_]| read(&headers(list)).unwrap().map(take_on);
        assert_eq!(read(&[("accept", "x")]), None);
        let bob = read(&[(USER, "bob"), (GROUP, "ops"), (GROUP, "dev"), ("impersonate-extra-a%2fb", "c")]).unwrap();
        assert_eq!(bob.groups, ["ops", "dev", AUTHENTICATED]);
        assert_eq!(bob.extra["a/b"], ["c"]);
        let account = read(&[(USER, "system:serviceaccount:ns:sa")]).unwrap();
        assert_eq!(account.groups, ["system:serviceaccounts", "system:serviceaccounts:ns", AUTHENTICATED]);
        assert_eq!(read(&[(USER, ANONYMOUS)]).unwrap().groups, [UNAUTHENTICATED]);
    }

    /// golden http/24 "a group without a user".
    #[test]
    fn a_group_without_a_user_is_printed_as_go_does() {
        let wish = read(&headers(&[(GROUP, "ops")])).unwrap().unwrap();
        let text = r#"&user.DefaultInfo{Name:"", UID:"", Groups:[]string{"ops"}, Extra:map[string][]string(nil)}"#;
        assert_eq!(go_text(&wish), text);
    }
}
