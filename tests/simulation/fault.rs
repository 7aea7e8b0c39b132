//! What may go wrong in a history.

/// What may go wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Faults(u16);

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    LostCommit,
    Doubt,
    Deadlock,
    Lock,
    Poison,
    Kill,
    HangUp,
    Provider,
    Clock,
    Offers,
    Deadline,
    DoubleClick,
    Carts,
    Restart,
    Reuse,
}

impl Faults {
    pub const ALL: Self = Self((1 << 15) - 1);
    pub const NONE: Self = Self(0);
    const EACH: [Fault; 15] = [
        Fault::LostCommit,
        Fault::Doubt,
        Fault::Deadlock,
        Fault::Lock,
        Fault::Poison,
        Fault::Kill,
        Fault::HangUp,
        Fault::Provider,
        Fault::Clock,
        Fault::Offers,
        Fault::Deadline,
        Fault::DoubleClick,
        Fault::Carts,
        Fault::Restart,
        Fault::Reuse,
    ];

    pub fn each(self) -> impl Iterator<Item = Fault> {
        Self::EACH.into_iter().filter(move |fault| self.has(*fault))
    }

    pub fn without(self, fault: Fault) -> Self {
        Self(self.0 & !(1 << fault as u16))
    }

    pub fn has(self, fault: Fault) -> bool {
        self.0 & (1 << fault as u16) != 0
    }
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.each()).finish()
    }
}
