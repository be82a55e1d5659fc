//! Images from archives and from a registry, and what is kept of them.

use std::{collections::BTreeMap, fs, sync::Arc};

use everynode_agent::runtime::{
    Credential, PullFailure, PullRequest, RuntimeError,
    images::{Store, archive, pull},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{
    archive::{Image, Layer, blobs, write},
    world::possible,
};

fn image(name: &str, texts: &[&str]) -> Image {
    let layers = texts.iter().map(|text| {
        let mut layer = Layer::new();
        layer.file(text, 0o644, text.as_bytes()).unwrap();
        layer.finish().unwrap()
    });
    Image { name: name.into(), layers: layers.collect(), cmd: vec!["/x".into()], ..Image::default() }
}

fn layer_count(store: &Store) -> usize {
    fs::read_dir(store.layers_dir()).unwrap().count()
}

#[test]
fn equal_layers_are_kept_once_and_removed_with_the_last_user() {
    if !possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    for (file, name, layers) in [("a", "a.test/a:1", ["base", "a"]), ("b", "a.test/b:1", ["base", "b"])] {
        let path = dir.path().join(file).with_extension("tar");
        write(&image(name, &layers), &path).unwrap();
        let ids = archive::import(&store, &path).unwrap();
        assert_eq!(archive::import(&store, &path).unwrap(), ids, "not imported again");
    }
    assert_eq!(layer_count(&store), 3);
    let a = store.resolve("a.test/a:1").unwrap().unwrap();
    assert_eq!(a.layers.len(), 2);
    assert_eq!(store.status(&a.id).unwrap().unwrap().repo_tags, ["a.test/a:1"]);
    store.hold("container", &a.id).unwrap();
    store.remove(&a.id).unwrap();
    assert_eq!(layer_count(&store), 3, "a container still uses it");
    store.release("container");
    store.remove(&a.id).unwrap();
    assert_eq!(layer_count(&store), 2);
    store.remove("a.test/b:1").unwrap();
    assert_eq!((layer_count(&store), store.list().unwrap().len()), (0, 0));
}

#[test]
fn what_docker_saves_is_imported_too() {
    if !possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let image = image("ignored", &["one", "two"]);
    let all = blobs(&image);
    let mut tar = Layer::new();
    tar.file("abc.json", 0o644, &all[0].content).unwrap();
    tar.file("1/layer.tar", 0o644, &all[1].content).unwrap();
    tar.file("shared.tar", 0o644, &all[2].content).unwrap();
    tar.symlink("2/layer.tar", "../shared.tar").unwrap();
    let manifest = r#"[{"Config":"abc.json","RepoTags":["busybox:1"],"Layers":["1/layer.tar","2/layer.tar"]}]"#;
    tar.file("manifest.json", 0o644, manifest.as_bytes()).unwrap();
    fs::write(dir.path().join("saved.tar"), tar.finish().unwrap()).unwrap();
    archive::import(&store, &dir.path().join("saved.tar")).unwrap();
    let info = store.status("busybox:1").unwrap().unwrap();
    assert_eq!((info.repo_tags, info.pinned), (vec!["docker.io/library/busybox:1".to_owned()], true));
}

#[test]
fn broken_archives_name_the_problem() {
    if !possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let path = dir.path().join("x.tar");
    fs::write(&path, b"no tar at all, but long enough to look like one".repeat(50)).unwrap();
    let error = archive::import(&store, &path).unwrap_err().to_string();
    assert!(error.contains("x.tar") && error.contains("tar archive"), "{error}");
    fs::write(&path, Layer::new().finish().unwrap()).unwrap();
    assert!(archive::import(&store, &path).unwrap_err().to_string().contains("index.json"));
    let good = dir.path().join("good.tar");
    write(&image("a.test/a:1", &["contents-of-a-layer"]), &good).unwrap();
    let mut bytes = fs::read(&good).unwrap();
    let at = bytes.windows(19).rposition(|w| w == b"contents-of-a-layer").unwrap();
    bytes[at] = b'X';
    fs::write(&good, bytes).unwrap();
    let error = archive::import(&store, &good).unwrap_err().to_string();
    assert!(error.contains("has digest"), "{error}");
    assert_eq!((layer_count(&store), store.list().unwrap().len()), (0, 0));
    assert_eq!(fs::read_dir(dir.path().join("store/staging")).unwrap().count(), 0);
}

/// A registry for one image, with basic authentication if `password` is set.
async fn registry(image: &Image, password: Option<&'static str>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let all: BTreeMap<String, Vec<u8>> = blobs(image).into_iter().map(|blob| (blob.digest, blob.content)).collect();
    let manifest = blobs(image).pop().unwrap();
    let all = Arc::new(all);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (all, manifest) = (Arc::clone(&all), manifest.clone());
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let allowed = password.is_none() || head.contains("authorization: basic");
                let kind = "application/vnd.oci.image.manifest.v1+json";
                let (code, kind, body) = match path.rsplit('/').next().unwrap_or_default() {
                    _ if !allowed => {
                        ("401 Unauthorized\r\nwww-authenticate: Basic realm=\"x\"", "application/json", Vec::new())
                    }
                    "" => ("200 OK", "application/json", b"{}".to_vec()),
                    "v1" if path.contains("/manifests/") => ("200 OK", kind, manifest.content.clone()),
                    digest if all.contains_key(digest) => ("200 OK", kind, all[digest].clone()),
                    _ => (
                        "404 Not Found",
                        "application/json",
                        br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#.to_vec(),
                    ),
                };
                let answer = format!(
                    "HTTP/1.1 {code}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.write_all(&body).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn images_are_pulled_from_a_registry() {
    if !possible() {
        return;
    }
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let port = registry(&image("ignored", &["one", "two"]), None).await;
    let name = format!("127.0.0.1:{port}/team/agent:v1");
    let request = |image: &str| PullRequest { image: image.to_owned(), credentials: Vec::new() };
    let info = pull::pull(&store, &request(&name)).await.unwrap();
    assert_eq!((info.repo_tags.as_slice(), layer_count(&store)), ([name.clone()].as_slice(), 2));
    let by_digest = info.repo_digests[0].clone();
    assert!(store.status(&by_digest).unwrap().is_some());
    assert_eq!(pull::pull(&store, &request(&by_digest)).await.unwrap().id, info.id);
    for (image, expect) in [
        (format!("127.0.0.1:{port}/team/agent:nosuch"), PullFailure::NotFound),
        ("127.0.0.1:1/team/agent:v1".to_owned(), PullFailure::Unreachable),
    ] {
        let error = pull::pull(&store, &request(&image)).await.unwrap_err();
        let RuntimeError::PullImage { failure, message, .. } = &error else { panic!("{error}") };
        assert_eq!(*failure, expect, "{message}");
        assert!(message.contains(&image), "{message}");
    }
}

/// N161.
#[tokio::test]
async fn credentials_are_tried_until_one_works() {
    if !possible() {
        return;
    }
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let port = registry(&image("ignored", &["one"]), Some("secret")).await;
    let image = format!("127.0.0.1:{port}/team/agent:v1");
    let error = pull::pull(&store, &PullRequest { image: image.clone(), credentials: Vec::new() }).await.unwrap_err();
    let unauthorized = matches!(&error, RuntimeError::PullImage { failure: PullFailure::Unauthorized, .. });
    assert!(unauthorized && error.to_string().contains("may require authorization"), "{error}");
    let credentials = vec![Credential::Basic { username: "me".into(), password: "secret".into() }];
    pull::pull(&store, &PullRequest { image, credentials }).await.unwrap();
}
