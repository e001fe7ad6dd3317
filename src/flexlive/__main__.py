"""`python -m flexlive` is `flexlive`."""

from flexlive.cli import main

if __name__ == "__main__":
    main()
