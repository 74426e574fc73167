//! Rise and fall: pure, no clock, no sockets.

/// HAProxy's `health` of one server, `0..=rise + fall - 1`. From `rise` on it is
/// UP. A pass that reaches `rise` goes to the top, a failure that leaves it goes
/// to the bottom: so exactly `fall` failures in a row take a healthy server
/// down, and exactly `rise` passes in a row bring it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    rise: u32,
    fall: u32,
    health: u32,
}

/// How soon the next check is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// All is well: `interval`.
    Normal,
    /// On the way up or down: `fast_interval`.
    Fast,
    /// Down for good: `down_interval`.
    Down,
}

impl Machine {
    /// A server nothing is known of yet, at start or out of maintenance: UP as
    /// in HAProxy, but the first failure takes it down and the first pass makes
    /// it healthy. `rise` and `fall` are at least 1.
    pub(crate) fn new(rise: u32, fall: u32) -> Self {
        let machine = Self {
            rise,
            fall,
            health: rise,
        };
        machine.check();
        machine
    }

    /// As another process left it; `health` may come from other limits.
    pub(crate) fn known(rise: u32, fall: u32, health: u32, is_up: bool) -> Self {
        let mut machine = Self::new(rise, fall);
        machine.health = health.min(machine.top());
        if machine.is_up() != is_up {
            machine.force(is_up);
        }
        machine.check();
        machine
    }

    /// The same health under other limits: up stays up, down stays down.
    pub(crate) fn with_limits(self, rise: u32, fall: u32) -> Self {
        let top = rise + fall - 1;
        let health = if self.health == self.top() {
            top
        } else if self.is_up() {
            (rise + (self.health - self.rise)).min(top)
        } else {
            self.health.min(rise - 1)
        };
        let machine = Self { rise, fall, health };
        machine.check();
        machine
    }

    /// One check passed.
    pub(crate) fn pass(&mut self) {
        if self.health < self.top() {
            self.health += 1;
            if self.health >= self.rise {
                self.health = self.top();
            }
        }
        self.check();
    }

    /// One check failed. False = it was down altogether: HAProxy's `chkfail`
    /// does not count such failures.
    pub(crate) fn fail(&mut self) -> bool {
        let counts = self.health > 0;
        self.health = self.health.saturating_sub(1);
        if self.health < self.rise {
            self.health = 0;
        }
        self.check();
        counts
    }

    /// Healthy or down at once, as the operator says.
    pub(crate) fn force(&mut self, up: bool) {
        self.health = if up { self.top() } else { 0 };
    }

    /// Whether the checks say UP.
    pub(crate) fn is_up(self) -> bool {
        self.health >= self.rise
    }

    /// HAProxy's `health`, `0..=rise + fall - 1`.
    pub(crate) fn health(self) -> u32 {
        self.health
    }

    /// How soon the next check is due.
    pub(crate) fn pace(self) -> Pace {
        match self.health {
            0 => Pace::Down,
            health if health == self.top() => Pace::Normal,
            _ => Pace::Fast,
        }
    }

    fn top(self) -> u32 {
        self.rise + self.fall - 1
    }

    fn check(self) {
        debug_assert!(self.rise > 0 && self.fall > 0, "{self:?}");
        debug_assert!(self.health <= self.top(), "{self:?}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::generation::status_text;
    use crate::state::Operational;

    fn healthy(rise: u32, fall: u32) -> Machine {
        let mut machine = Machine::new(rise, fall);
        machine.pass();
        machine
    }

    fn text(machine: Machine) -> String {
        let operational = match machine.is_up() {
            true => Operational::Up,
            false => Operational::Down,
        };
        status_text(operational, machine.health, machine.rise, machine.fall)
    }

    #[test]
    fn first_failure_after_the_start_is_down_first_pass_is_healthy() {
        let mut machine = Machine::new(2, 3);
        assert_eq!(text(machine), "UP 1/3");
        assert_eq!(machine.pace(), Pace::Fast);
        assert_eq!(text(healthy(2, 3)), "UP");
        assert!(machine.fail());
        assert_eq!(text(machine), "DOWN");
    }

    #[test]
    fn texts_and_paces_of_a_whole_fall_and_rise() {
        let mut machine = healthy(2, 3);
        let mut seen = vec![(text(machine), machine.pace())];
        for pass in [false, false, false, false, true, false, true, true] {
            if pass {
                machine.pass();
            } else {
                machine.fail();
            }
            seen.push((text(machine), machine.pace()));
        }
        let expected = [
            ("UP", Pace::Normal),
            ("UP 2/3", Pace::Fast),
            ("UP 1/3", Pace::Fast),
            ("DOWN", Pace::Down),
            ("DOWN", Pace::Down),
            ("DOWN 1/2", Pace::Fast),
            ("DOWN", Pace::Down),
            ("DOWN 1/2", Pace::Fast),
            ("UP", Pace::Normal),
        ];
        assert_eq!(seen, expected.map(|(text, pace)| (text.to_owned(), pace)));
    }

    #[test]
    fn failures_of_a_server_that_is_down_do_not_count() {
        let mut machine = healthy(2, 1);
        assert!(machine.fail());
        assert!(!machine.fail());
        machine.pass();
        assert!(machine.fail(), "it was on its way up");
    }

    proptest! {
        #[test]
        fn exactly_fall_failures_and_exactly_rise_passes(rise in 1..20_u32, fall in 1..20_u32) {
            let mut machine = healthy(rise, fall);
            for _ in 1..fall {
                machine.fail();
                prop_assert!(machine.is_up());
            }
            machine.fail();
            prop_assert!(!machine.is_up());
            for _ in 1..rise {
                machine.pass();
                prop_assert!(!machine.is_up());
            }
            machine.pass();
            prop_assert_eq!(machine, healthy(rise, fall));
        }

        /// Only the last run of equal results counts, whatever came before.
        #[test]
        fn any_history_is_up_after_rise_passes_and_down_after_fall_failures(
            (rise, fall) in (1..6_u32, 1..6_u32),
            history in prop::collection::vec(any::<bool>(), 0..60),
        ) {
            let mut machine = Machine::new(rise, fall);
            let mut up = true;
            let mut fresh = true;
            let (mut passes, mut failures) = (0, 0);
            for pass in history {
                if pass {
                    machine.pass();
                    (passes, failures) = (passes + 1, 0);
                } else {
                    machine.fail();
                    (passes, failures) = (0, failures + 1);
                }
                up = if up { !(failures >= fall || fresh && !pass) } else { passes >= rise };
                fresh = false;
                prop_assert_eq!(machine.is_up(), up);
            }
        }

        #[test]
        fn other_limits_keep_what_is_up_and_what_is_down(
            before in (1..6_u32, 1..6_u32),
            after in (1..6_u32, 1..6_u32),
            history in prop::collection::vec(any::<bool>(), 0..20),
        ) {
            let mut machine = Machine::new(before.0, before.1);
            for pass in history {
                if pass { machine.pass() } else { machine.fail(); }
            }
            let other = machine.with_limits(after.0, after.1);
            prop_assert_eq!(other.is_up(), machine.is_up());
            prop_assert_eq!(machine.with_limits(before.0, before.1), machine);
        }
    }
}
