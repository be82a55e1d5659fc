//! How many nodes may be without a pod, or hold a second one (R63, R98, R99).

use super::plan::Problem;
use crate::model::{IntOrPercent, Strategy};

/// What a rolling update may spend, already rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Nodes that may lack an available pod.
    pub unavailable: i32,
    /// Nodes that may hold a second pod.
    pub surge: i32,
}

/// R98: percentages round up, of the desired number.
fn scaled(value: IntOrPercent, desired: i32) -> Result<i32, Problem> {
    match value {
        IntOrPercent::Int(number) => Ok(number),
        IntOrPercent::Percent(percent) => {
            let product = i64::from(percent) * i64::from(desired);
            Ok(i32::try_from(product.div_euclid(100) + i64::from(product.rem_euclid(100) != 0)).unwrap_or(i32::MAX))
        }
        IntOrPercent::Invalid => Err(Problem::BadBudget),
    }
}

/// The budget of a strategy over `desired` nodes.
pub fn of(strategy: &Strategy, desired: i32) -> Result<Budget, Problem> {
    let Strategy::RollingUpdate { max_unavailable, max_surge } = strategy else {
        return Ok(Budget::default());
    };
    let mut budget = match (max_unavailable, max_surge) {
        (None, None) => Budget::default(),
        (None, Some(_)) => return Err(Problem::BadBudget),
        (Some(unavailable), surge) => Budget {
            unavailable: scaled(*unavailable, desired)?,
            surge: surge.map_or(Ok(0), |surge| scaled(surge, desired))?,
        },
    };
    // R99
    if desired > 0 && budget.unavailable == 0 && budget.surge == 0 {
        budget.unavailable = 1;
    }
    Ok(budget)
}

/// R63: any surge at all.
#[must_use]
pub fn surges(strategy: &Strategy) -> bool {
    match strategy {
        Strategy::RollingUpdate { max_surge: Some(surge), .. } => scaled(*surge, 1).is_ok_and(|surge| surge > 0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use IntOrPercent::{Int, Invalid, Percent};

    /// T78, R98, R99.
    #[test]
    fn budgets_are_scaled() {
        for (unavailable, surge, desired, expect) in [
            (Some(Int(0)), None, 0, Ok((0, 0))),
            (Some(Int(1)), None, 2, Ok((1, 0))),
            (Some(Int(0)), None, 2, Ok((1, 0))),
            (Some(Int(0)), Some(Int(0)), 2, Ok((1, 0))),
            (Some(Percent(50)), None, 2, Ok((1, 0))),
            (Some(Percent(50)), None, 3, Ok((2, 0))),
            (Some(Int(0)), Some(Percent(50)), 2, Ok((0, 1))),
            (Some(Int(0)), Some(Percent(100)), 2, Ok((0, 2))),
            (Some(Percent(10)), None, 11, Ok((2, 0))),
            (None, None, 2, Ok((1, 0))),
            (None, Some(Int(1)), 2, Err(Problem::BadBudget)),
            (Some(Invalid), None, 2, Err(Problem::BadBudget)),
        ] {
            let strategy = Strategy::RollingUpdate { max_unavailable: unavailable, max_surge: surge };
            let got = of(&strategy, desired).map(|budget| (budget.unavailable, budget.surge));
            assert_eq!(got, expect, "{strategy:?} of {desired}");
        }
        assert_eq!(of(&Strategy::OnDelete, 5), Ok(Budget::default()));
    }

    /// R63.
    #[test]
    fn any_surge_turns_surge_on() {
        let surge = |max_surge| surges(&Strategy::RollingUpdate { max_unavailable: Some(Int(0)), max_surge });
        assert!(surge(Some(Int(1))) && surge(Some(Percent(1))));
        assert!(!surge(None) && !surge(Some(Int(0))) && !surge(Some(Percent(0))) && !surge(Some(Invalid)));
        assert!(!surges(&Strategy::OnDelete));
    }
}
