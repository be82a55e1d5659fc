//! Seeds of the simulator that every build runs: a handful, and those that once broke a rule.

use everynode_sim::{Config, Outcome, run};

fn seed(seed: u64) -> Outcome {
    run(&Config { seed, nodes: 0, sets: 0, trace: false })
}

#[test]
fn a_handful_of_seeds_keeps_all_rules() {
    for at in 1..=5 {
        let outcome = seed(at);
        assert_eq!(outcome.breach, None, "cargo xtask sim --replay {at}");
        assert!(outcome.figures.decisions > 0, "seed {at}: nothing happened");
    }
}

#[test]
fn a_seed_is_the_same_every_time() {
    let (first, again) = (seed(7), seed(7));
    assert_eq!((first.hash, first.figures), (again.hash, again.figures));
    assert_ne!(first.hash, seed(8).hash);
}
