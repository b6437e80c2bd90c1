//! Both stores under the same rules.
#![expect(clippy::unwrap_used, reason = "tests")]

mod memory {
    berth_store::conformance_suite!(berth_store::MemoryStore::new());
}

mod sled {
    use berth_store::{SledOptions, SledStore};

    /// A store and its directory, which lives as long as the store.
    fn fresh(fsync: bool) -> InDir {
        let dir = tempfile::tempdir().unwrap();
        let store = SledStore::open(&SledOptions {
            fsync,
            ..SledOptions::new(dir.path())
        })
        .unwrap();
        InDir { store, _dir: dir }
    }

    struct InDir {
        store: SledStore,
        _dir: tempfile::TempDir,
    }

    #[async_trait::async_trait]
    impl berth_store::Store for InDir {
        async fn get(
            &self,
            key: &berth_store::Key,
        ) -> Result<Option<berth_store::Entry>, berth_store::StoreError> {
            self.store.get(key).await
        }
        async fn list(
            &self,
            prefix: &str,
            page: berth_store::Page,
        ) -> Result<berth_store::Listing, berth_store::StoreError> {
            self.store.list(prefix, page).await
        }
        async fn txn(&self, txn: berth_store::Txn) -> Result<berth_model::Revision, berth_store::StoreError> {
            self.store.txn(txn).await
        }
        async fn watch(
            &self,
            from: berth_model::Revision,
        ) -> Result<berth_store::Watch, berth_store::StoreError> {
            self.store.watch(from).await
        }
        async fn revision(&self) -> Result<berth_model::Revision, berth_store::StoreError> {
            self.store.revision().await
        }
    }

    berth_store::conformance_suite!(fresh(false));
}
