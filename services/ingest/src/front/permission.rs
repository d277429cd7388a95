//! Look-ups on behalf of a caller: nobody is told of a model that is none of his business.

use crate::access::{AccessError, Caller, Right};

use super::catalog::{Listed, NotServed, Served, VersionStatus};
use super::clock::unix_ms;
use super::{Error, Front, Target, Wanted};

impl Front {
    /// Whether the caller may do this with the model. It is asked before
    /// anything is looked up, so the answer tells nothing of what is served.
    ///
    /// # Errors
    /// [`Error::Access`]; where forbidden models are concealed, what an unknown one gets.
    pub(crate) fn permit(&self, caller: &Caller, right: Right, model: &str) -> Result<(), Error> {
        match self.access.permit(caller, right, model) {
            Err(AccessError::Forbidden { .. }) if self.access.conceals_models() => {
                let unknown = self.catalog.unknown(model, unix_ms());
                Err(unknown.told_to(caller).into())
            }
            permitted => Ok(permitted?),
        }
    }

    /// Who can answer for a target, if the caller may know.
    ///
    /// # Errors
    /// Those of [`Front::permit`], then [`NotServed`].
    pub(crate) fn find(
        &self,
        caller: &Caller,
        right: Right,
        target: &Target,
    ) -> Result<Served, Error> {
        self.permit(caller, right, &target.model)?;
        self.find_permitted(caller, target)
    }

    /// The same for a caller who has been permitted.
    ///
    /// # Errors
    /// [`NotServed`]
    pub(super) fn find_permitted(&self, caller: &Caller, target: &Target) -> Result<Served, Error> {
        let found = self.catalog.find(&target.model, &target.wanted, unix_ms());
        found.map_err(|error| error.told_to(caller).into())
    }

    /// The versions of a target's model, newest first, if the caller may read them.
    ///
    /// # Errors
    /// Those of [`Front::permit`], then [`NotServed`].
    pub(crate) fn versions(
        &self,
        caller: &Caller,
        target: &Target,
    ) -> Result<Vec<VersionStatus>, Error> {
        self.permit(caller, Right::Read, &target.model)?;
        let found = self
            .catalog
            .versions(&target.model, &target.wanted, unix_ms());
        found.map_err(|error| error.told_to(caller).into())
    }

    /// Every version of every model that the caller may read, newest first.
    ///
    /// # Errors
    /// [`NotServed`] while the catalog is not complete.
    pub(crate) fn list(&self, caller: &Caller) -> Result<Vec<Listed>, Error> {
        let mut listed = self.catalog.list(unix_ms())?;
        listed.retain(|version| caller.may(Right::Read, &version.model));
        Ok(listed)
    }

    /// The versions of a target's model, as [`Self::list`] shows them.
    ///
    /// # Errors
    /// Those of [`Front::permit`], then [`NotServed`].
    pub(crate) fn list_of(&self, caller: &Caller, target: &Target) -> Result<Vec<Listed>, Error> {
        self.permit(caller, Right::Read, &target.model)?;
        let found = self
            .catalog
            .list_of(&target.model, &target.wanted, unix_ms());
        found.map_err(|error| error.told_to(caller).into())
    }

    /// What a request means that names no model: the default one, or the only
    /// one that the caller may predict with.
    ///
    /// # Errors
    /// [`NotServed`] when there is none or more than one.
    pub(crate) fn default_target(&self, caller: &Caller) -> Result<Target, Error> {
        let model = match &self.default_model {
            Some(model) => model.clone(),
            None => {
                let may = |model: &str| caller.may(Right::Predict, model);
                self.catalog.only_model(may, unix_ms())?
            }
        };
        Ok(Target {
            model,
            wanted: Wanted::Latest,
        })
    }
}

impl NotServed {
    /// The same without the names of models that the caller may not use.
    pub(crate) fn told_to(mut self, caller: &Caller) -> Self {
        if let Self::UnknownModel { served, .. } | Self::Ambiguous { served } = &mut self {
            let may = |model: &str| {
                [Right::Read, Right::Predict]
                    .iter()
                    .any(|right| caller.may(*right, model))
            };
            served.0.retain(|model| may(model));
        }
        self
    }
}
