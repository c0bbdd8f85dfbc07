//! A persistent worker's cache of mapped arrays: each is mapped once, for as long as it may be lent again. What the current job has not
//! lent is closed (PROT_NONE), so that a stray write to it is a fault, as in a worker that never had it.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::shared::{Attached, Backing, SegmentHandle};
use crate::sys::memory::{Access, MapMode};

/// By the arrays' numbers.
pub(super) struct MappingCache {
    coordinator: u32,
    kept: HashMap<u64, CachedMapping>,
}

struct CachedMapping {
    backing: Arc<Backing>,
    /// What its descriptor allows.
    opened: Access,
    /// One for each access that a job has lent it for: planes are lent to read and to write.
    mapped: Vec<Mapped>,
}

struct Mapped {
    bytes: Rc<Attached>,
    /// What may be done with them; nothing if it is closed.
    allowed: Option<Access>,
    /// Whether the job at hand has it.
    lent: bool,
}

impl MappingCache {
    pub(super) fn new(coordinator: u32) -> Self {
        Self { coordinator, kept: HashMap::new() }
    }

    /// Forgets all arrays but these.
    pub(super) fn keep_only(&mut self, numbers: &[u64]) {
        self.kept.retain(|number, _| numbers.contains(number));
    }

    /// The bytes of an array, to be mapped for `access`.
    pub(super) fn take(&mut self, told: &SegmentHandle, access: Access) -> Result<Arc<Backing>> {
        if let Some(kept) =
            self.kept.get(&told.number).filter(|kept| kept.opened == Access::Write || access == kept.opened)
        {
            return Ok(kept.backing.clone());
        }
        // What was opened to be read cannot be mapped to be written.
        self.kept.remove(&told.number);
        let backing = Arc::new(Backing::open(told, self.coordinator, access)?);
        self.kept.insert(told.number, CachedMapping { backing: backing.clone(), opened: access, mapped: Vec::new() });
        Ok(backing)
    }

    /// Maps an array that was taken, or changes what may be done with the mapping that there is.
    pub(super) fn map(&mut self, number: u64, keeping: MapMode) -> Result<Rc<Attached>> {
        let Some(kept) = self.kept.get_mut(&number) else { unreachable!("taken before it is mapped") };
        let access = match keeping {
            // Of no use beyond this job.
            MapMode::PrivateToRead => return kept.backing.attach(keeping).map(Rc::new),
            MapMode::SharedToRead => Access::Read,
            MapMode::SharedToWrite => Access::Write,
        };
        let as_it_is = kept.mapped.iter().position(|mapped| mapped.allowed == Some(access));
        let free = || kept.mapped.iter().position(|mapped| !mapped.lent);
        if let Some(at) = as_it_is.or_else(free) {
            let mapped = &mut kept.mapped[at];
            if mapped.allowed != Some(access) {
                let whole = 0..kept.backing.len();
                mapped.bytes.protect(whole, access).map_err(Error::system("allow or forbid writes to a lent array"))?;
                mapped.allowed = Some(access);
            }
            mapped.lent = true;
            return Ok(mapped.bytes.clone());
        }
        let bytes = kept.backing.attach(keeping).map(Rc::new)?;
        kept.mapped.push(Mapped { bytes: bytes.clone(), allowed: Some(access), lent: true });
        Ok(bytes)
    }

    /// Closes what was not mapped for the job at hand: arrays that are not lent, and those of which it has private copies.
    pub(super) fn close_the_rest(&mut self) -> Result<()> {
        for mapped in self.kept.values_mut().flat_map(|kept| &mut kept.mapped) {
            if !std::mem::take(&mut mapped.lent) && mapped.allowed.take().is_some() {
                mapped.bytes.close().map_err(Error::system("keep a worker away from arrays of earlier jobs"))?;
            }
        }
        Ok(())
    }
}
