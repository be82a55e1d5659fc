//! Carries out a plan as `everynode-control` does, over a pretend wire: sends what its [`Errand`] asks and tells it the answers.

use std::rc::Rc;

use everynode_api::daemonset::{Errand, Report};
use futures::future::join_all;

use super::Plan;
use super::net::{Answer, Call, Net};

/// Does all of a plan that can be done now.
pub(super) async fn carry_out(net: Net, plan: Rc<Plan>) -> Report {
    let mut errand = Errand::new(&plan.item.set, &plan.item.object, plan.plan.clone());
    loop {
        let asks = errand.asks();
        if asks.is_empty() {
            return errand.end();
        }
        let calls = asks.into_iter().map(|ask| Call { request: ask.request, step: ask.step, plan: Rc::clone(&plan) });
        let answers = join_all(calls.map(|call| net.send(call))).await;
        errand.told(answers.iter().map(Answer::heard));
    }
}
