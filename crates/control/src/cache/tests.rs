//! Feeds against a server that says what the test has written down.

use std::collections::VecDeque;
use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use kube::client::Body;

use super::*;
use crate::meta::{self, Meta};

/// One answer: status and lines; a stream that stays open when `is_open`.
struct Answer {
    code: u16,
    text: String,
    is_open: bool,
}

fn whole(code: u16, text: impl Into<String>) -> Answer {
    Answer { code, text: text.into(), is_open: false }
}

fn open(lines: &[String]) -> Answer {
    Answer { code: 200, text: lines.concat(), is_open: true }
}

type Asked = Arc<Mutex<Vec<String>>>;
type Script = Arc<Mutex<VecDeque<Answer>>>;

/// A server that gives the answers in order, and what it was asked. After the last one, nothing is answered.
fn server(answers: impl IntoIterator<Item = Answer>) -> (Api, Asked) {
    let asked = Asked::default();
    let script: Script = Arc::new(Mutex::new(answers.into_iter().collect()));
    let seen = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
        seen.lock().expect("no panic").push(path);
        let answer = script.lock().expect("no panic").pop_front();
        async move {
            let Some(answer) = answer else { return std::future::pending().await };
            Ok::<_, Infallible>(Response::builder().status(answer.code).body(body(answer)).expect("a response"))
        }
    });
    (Api::new(kube::Client::new(service, "default")), asked)
}

fn body(answer: Answer) -> BoxBody<Bytes, Infallible> {
    let text = Bytes::from(answer.text);
    if !answer.is_open {
        return Full::new(text).boxed();
    }
    if text.is_empty() {
        return StreamBody::new(futures::stream::pending::<Result<http_body::Frame<Bytes>, Infallible>>()).boxed();
    }
    let first = futures::stream::once(async move { Ok(http_body::Frame::data(text)) });
    StreamBody::new(futures::StreamExt::chain(first, futures::stream::pending())).boxed()
}

fn line(kind: &str, name: &str, version: u32) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{}}}\n", object(name, version))
}

fn object(name: &str, version: u32) -> String {
    format!("{{\"metadata\":{{\"name\":\"{name}\",\"resourceVersion\":\"{version}\"}}}}")
}

fn mark(version: u32) -> String {
    let annotations = "{\"k8s.io/initial-events-end\":\"true\"}";
    format!(
        "{{\"type\":\"BOOKMARK\",\"object\":{{\"metadata\":{{\"resourceVersion\":\"{version}\",\"annotations\":{annotations}}}}}}}\n"
    )
}

fn list(version: u32, items: &[String]) -> Answer {
    whole(200, format!("{{\"metadata\":{{\"resourceVersion\":\"{version}\"}},\"items\":[{}]}}", items.join(",")))
}

fn refusal(code: u16, reason: &str) -> Answer {
    whole(code, format!("{{\"kind\":\"Status\",\"reason\":\"{reason}\",\"message\":\"no\"}}"))
}

fn feed(api: Api) -> Feed<Meta> {
    let source = Source { what: "things", path: "/things".into(), query: String::new(), project: meta::project };
    Feed::start_with(api, source, Duration::from_millis(50))
}

/// Waits until a subscriber is told just this: `+a` for a put, `-a` for a removal, `=` for the end of the first view.
async fn expect_told(subscription: &mut Subscription<Meta>, expect: &str) {
    let mut text = String::new();
    let all = async {
        while text != expect {
            match subscription.next().await.expect("the feed lives") {
                Delta::Put { new, .. } => text.push_str(&format!("+{} ", new.key.name)),
                Delta::Gone(old) => text.push_str(&format!("-{} ", old.key.name)),
                Delta::Synced => text.push_str("= "),
            }
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), all).await;
    assert!(in_time.is_ok(), "was told {text:?} and not {expect:?}");
}

/// A111: one request gives what is there and what comes, and the end of the former is marked.
#[tokio::test]
async fn a_stream_begins_with_all_there_is() {
    let lines =
        [line("ADDED", "a", 3), line("ADDED", "b", 4), mark(7), line("MODIFIED", "a", 8), line("DELETED", "b", 9)];
    let (api, asked) = server([open(&lines)]);
    let feed = feed(api);
    let mut subscription = feed.subscribe();
    expect_told(&mut subscription, "+a +b = +a -b ").await;
    let asked = asked.lock().expect("no panic").clone();
    assert_eq!(asked.len(), 1, "{asked:?}");
    for word in
        ["watch=true", "sendInitialEvents=true", "resourceVersionMatch=NotOlderThan", "allowWatchBookmarks=true"]
    {
        assert!(asked[0].contains(word), "{asked:?}");
    }
}

/// A111: a server without streamed lists says 422 (or 400), and is listed from then on.
#[tokio::test]
async fn where_lists_are_not_streamed_it_lists_and_watches() {
    let answers = [
        refusal(422, "Invalid"),
        list(5, &[object("a", 3), object("b", 4)]),
        open(&[line("DELETED", "b", 6), "{\"type\":\"ERROR\",\"object\":{\"code\":410}}\n".to_owned()]),
        list(9, &[object("c", 8)]),
    ];
    let (api, asked) = server(answers);
    let feed = feed(api);
    let mut subscription = feed.subscribe();
    expect_told(&mut subscription, "+a +b = -b +c -a ").await;
    let asked = asked.lock().expect("no panic").clone();
    let streams = asked.iter().filter(|path| path.contains("sendInitialEvents")).count();
    assert_eq!(streams, 1, "it is asked once: {asked:?}");
    assert!(asked[2].contains("resourceVersion=5"), "{asked:?}");
}

/// A111: a server that ignores the question sends a plain watch, whose mark never comes.
#[tokio::test]
async fn a_stream_without_a_mark_is_not_waited_for() {
    let answers = [open(&[line("ADDED", "a", 3)]), list(5, &[object("a", 3)]), open(&[])];
    let (api, _) = server(answers);
    let feed = feed(api);
    let mut subscription = feed.subscribe();
    expect_told(&mut subscription, "+a = ").await;
}

/// After a gap: what vanished meanwhile is told, what is the same is not.
#[tokio::test]
async fn a_second_stream_tells_what_changed_in_the_gap() {
    let answers = [
        open(&[
            line("ADDED", "a", 1),
            line("ADDED", "b", 2),
            mark(3),
            "{\"type\":\"ERROR\",\"object\":{}}\n".to_owned(),
        ]),
        open(&[line("ADDED", "b", 2), line("ADDED", "c", 5), mark(6)]),
    ];
    let (api, _) = server(answers);
    let feed = feed(api);
    let mut subscription = feed.subscribe();
    expect_told(&mut subscription, "+a +b = +c -a ").await;
}

/// An overloaded server is asked the same again, and not taken for an old one.
#[tokio::test]
async fn a_refusal_for_load_or_rights_is_no_lack_of_streams() {
    for code in [401, 403, 429, 500, 503] {
        let (api, asked) = server([refusal(code, "x"), open(&[mark(6)])]);
        let feed = feed(api);
        expect_told(&mut feed.subscribe(), "= ").await;
        assert!(asked.lock().expect("no panic").iter().all(|path| path.contains("sendInitialEvents")), "{code}");
    }
}

/// The last clone takes the watch with it.
#[tokio::test]
async fn a_feed_ends_when_nobody_holds_it() {
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let tell = Arc::new(Mutex::new(Some(tell)));
    let service = tower::service_fn(move |_: Request<Body>| {
        // Dropped with the request that waits for an answer.
        let tell = tell.lock().expect("no panic").take();
        async move {
            let _tell = tell;
            std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>().await
        }
    });
    let feed = feed(Api::new(kube::Client::new(service, "default")));
    let clone = feed.clone();
    drop(feed);
    tokio::task::yield_now().await;
    drop(clone);
    let ended = tokio::time::timeout(Duration::from_secs(60), told).await.expect("the request is given up");
    assert!(ended.is_err(), "and never answered");
}
