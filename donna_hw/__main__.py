"""`python -m donna_hw` is `donna-hw`; torch's launcher starts it so."""

from donna_hw.cli import main

if __name__ == "__main__":
    main()
