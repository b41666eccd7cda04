"""The paper's figures as functions of plain data, drawn with matplotlib."""
