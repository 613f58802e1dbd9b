"""What is typed -> Hydra's configuration -> `Run`. Empty: finding conf/ need not import Hydra or torch."""
