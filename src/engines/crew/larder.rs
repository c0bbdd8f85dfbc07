//! The arrays that a worker who stays has mapped: each once, for as long as it may be lent again.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::shared::{Attached, Backing, Told};
use crate::sys::memory::{Access, Keeping};

/// By the arrays' numbers.
pub(super) struct Larder {
    coordinator: u32,
    kept: HashMap<u64, Kept>,
}

struct Kept {
    backing: Arc<Backing>,
    /// What its descriptor allows.
    opened: Access,
    mapped: Option<(Rc<Attached>, Access)>,
}

impl Larder {
    pub(super) fn new(coordinator: u32) -> Self {
        Self { coordinator, kept: HashMap::new() }
    }

    /// Forgets all arrays but these.
    pub(super) fn keep_only(&mut self, numbers: &[u64]) {
        self.kept.retain(|number, _| numbers.contains(number));
    }

    /// The bytes of an array, to be mapped for `access`.
    pub(super) fn take(&mut self, told: &Told, access: Access) -> Result<Arc<Backing>> {
        if let Some(kept) =
            self.kept.get(&told.number).filter(|kept| kept.opened == Access::Write || access == kept.opened)
        {
            return Ok(kept.backing.clone());
        }
        // What was opened to be read cannot be mapped to be written.
        self.kept.remove(&told.number);
        let backing = Arc::new(Backing::open(told, self.coordinator, access)?);
        self.kept.insert(told.number, Kept { backing: backing.clone(), opened: access, mapped: None });
        Ok(backing)
    }

    /// Maps an array that was taken, or changes what may be done with the mapping that there is.
    pub(super) fn map(&mut self, number: u64, keeping: Keeping) -> Result<Rc<Attached>> {
        let Some(kept) = self.kept.get_mut(&number) else { unreachable!("taken before it is mapped") };
        let access = match keeping {
            // Of no use beyond this job.
            Keeping::PrivateToRead => return kept.backing.attach(keeping).map(Rc::new),
            Keeping::SharedToRead => Access::Read,
            Keeping::SharedToWrite => Access::Write,
        };
        if let Some((mapped, allowed)) = &mut kept.mapped {
            if *allowed != access {
                let whole = 0..kept.backing.len();
                mapped.protect(whole, access).map_err(Error::system("allow or forbid writes to a lent array"))?;
                *allowed = access;
            }
            return Ok(mapped.clone());
        }
        let mapped = kept.backing.attach(keeping).map(Rc::new)?;
        kept.mapped = Some((mapped.clone(), access));
        Ok(mapped)
    }
}
