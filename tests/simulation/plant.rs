//! Faults that are planted on purpose: if the simulation does not find them, it shows nothing.

/// A mistake that somebody could make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// What was sent with a COMMIT is answered, though its answer never came.
    AnswerBeforeCommit,
    /// A lost answer is taken for a failure, and the client told so.
    LostIsFailed,
    /// A batch that runs again does not wait for its transaction in doubt.
    NoWaitForDoubt,
    /// Refused while the same, sent before, may still arrive.
    RefuseInDoubt,
    /// What a key made is not looked at.
    ForgetKeys,
    /// A refused key stays taken.
    KeepRefusedKeys,
    /// Whoever resolves a payment leaves the key's reply to somebody else.
    ResolveWithoutKey,
    /// Decides on counts that were read before the locks.
    DecideOnStaleStock,
    /// The guards of the optimistic form are missing.
    NoGuards,
    /// A cart that has changed since it was priced is emptied all the same.
    ForgetCartVersions,
    /// An order that expires keeps its stock.
    ExpireWithoutStock,
    /// A payment whose answer was lost is made anew.
    ChargeAnew,
    /// A refusal of the provider after all is not recorded.
    ForgetSettlements,
    /// The second half of a halved batch is dropped.
    LoseAHalf,
    /// Nobody asks after payments without an answer.
    NoReaper,
    /// A count is taken for as new as the moment when it is heard of.
    BelieveOldCounts,
}

impl Plant {
    /// Those that a single order of each client is enough for.
    pub const OF_THE_PROTOCOL: [Self; 5] = [
        Self::NoWaitForDoubt,
        Self::RefuseInDoubt,
        Self::ForgetKeys,
        Self::NoGuards,
        Self::NoReaper,
    ];

    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::AnswerBeforeCommit,
        Self::LostIsFailed,
        Self::NoWaitForDoubt,
        Self::RefuseInDoubt,
        Self::ForgetKeys,
        Self::KeepRefusedKeys,
        Self::ResolveWithoutKey,
        Self::DecideOnStaleStock,
        Self::NoGuards,
        Self::ForgetCartVersions,
        Self::ExpireWithoutStock,
        Self::ChargeAnew,
        Self::ForgetSettlements,
        Self::LoseAHalf,
        Self::NoReaper,
        Self::BelieveOldCounts,
    ];
}
