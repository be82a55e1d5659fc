//! Counts everything anew and holds it against what the engine keeps: every decision of every test ends with it.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::queues::Queues;
use super::row::{Row, Tally};
use crate::daemonset::cell::Counted;

impl Engine {
    /// What is kept is what follows from the cells.
    pub(super) fn audit(&self) {
        let (mut homes, mut held) = (0, BTreeMap::new());
        for row in self.rows.iter() {
            for (id, cell) in row.cells.iter() {
                homes += cell.pods.len();
                *held.entry(id).or_insert(0) += 1;
            }
            homes += row.strays.len();
            self.audit_row(row);
        }
        assert_eq!(self.homes.len(), homes, "pods in cells and among strays");
        for id in self.nodes.ids() {
            assert_eq!(self.nodes.held(id), held.remove(&id).unwrap_or(0), "cells on {:?}", self.nodes.name(id));
        }
        assert_eq!(held, BTreeMap::new(), "every cell has a name");
    }

    fn audit_row(&self, row: &Row) {
        let (mut tally, mut queues) = (Tally::default(), Queues::default());
        let (mut timers, mut hashes) = (BTreeSet::new(), BTreeMap::new());
        for (id, cell) in row.cells.iter() {
            tally.add(&cell.counted, 1);
            let turn = self.nodes.turn(id).expect("a cell's name has a seat");
            queues.recount(turn, &Counted::default(), &cell.counted);
            timers.extend(cell.wake_at.map(|at| (at, id)));
            for pod in &cell.pods {
                if let Some(hash) = &pod.hash {
                    *hashes.entry(hash.clone()).or_insert(0) += 1;
                }
            }
        }
        assert_eq!(row.tally, tally, "{}", row.set.key);
        assert_eq!(row.queues, queues, "{}", row.set.key);
        assert_eq!(row.timers, timers, "{}", row.set.key);
        assert_eq!(row.hashes, hashes, "{}", row.set.key);
    }
}
