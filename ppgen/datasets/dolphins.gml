graph [
  node [
    id 0
    label "Beak"
  ]
  node [
    id 1
    label "Beescratch"
  ]
  node [
    id 2
    label "Bumper"
  ]
  node [
    id 3
    label "CCL"
  ]
  node [
    id 4
    label "Cross"
  ]
  node [
    id 5
    label "DN16"
  ]
  node [
    id 6
    label "DN21"
  ]
  node [
    id 7
    label "DN63"
  ]
  node [
    id 8
    label "Double"
  ]
  node [
    id 9
    label "Feather"
  ]
  node [
    id 10
    label "Fish"
  ]
  node [
    id 11
    label "Five"
  ]
  node [
    id 12
    label "Fork"
  ]
  node [
    id 13
    label "Gallatin"
  ]
  node [
    id 14
    label "Grin"
  ]
  node [
    id 15
    label "Haecksel"
  ]
  node [
    id 16
    label "Hook"
  ]
  node [
    id 17
    label "Jet"
  ]
  node [
    id 18
    label "Jonah"
  ]
  node [
    id 19
    label "Knit"
  ]
  node [
    id 20
    label "Kringel"
  ]
  node [
    id 21
    label "MN105"
  ]
  node [
    id 22
    label "MN23"
  ]
  node [
    id 23
    label "MN60"
  ]
  node [
    id 24
    label "MN83"
  ]
  node [
    id 25
    label "Mus"
  ]
  node [
    id 26
    label "Notch"
  ]
  node [
    id 27
    label "Number1"
  ]
  node [
    id 28
    label "Oscar"
  ]
  node [
    id 29
    label "Patchback"
  ]
  node [
    id 30
    label "PL"
  ]
  node [
    id 31
    label "Quasi"
  ]
  node [
    id 32
    label "Ripplefluke"
  ]
  node [
    id 33
    label "Scabs"
  ]
  node [
    id 34
    label "Shmuddel"
  ]
  node [
    id 35
    label "SMN5"
  ]
  node [
    id 36
    label "SN100"
  ]
  node [
    id 37
    label "SN4"
  ]
  node [
    id 38
    label "SN63"
  ]
  node [
    id 39
    label "SN89"
  ]
  node [
    id 40
    label "SN9"
  ]
  node [
    id 41
    label "SN90"
  ]
  node [
    id 42
    label "SN96"
  ]
  node [
    id 43
    label "Stripes"
  ]
  node [
    id 44
    label "Thumper"
  ]
  node [
    id 45
    label "Topless"
  ]
  node [
    id 46
    label "TR120"
  ]
  node [
    id 47
    label "TR77"
  ]
  node [
    id 48
    label "TR82"
  ]
  node [
    id 49
    label "TR88"
  ]
  node [
    id 50
    label "TR99"
  ]
  node [
    id 51
    label "Trigger"
  ]
  node [
    id 52
    label "TSN103"
  ]
  node [
    id 53
    label "TSN83"
  ]
  node [
    id 54
    label "Upbang"
  ]
  node [
    id 55
    label "Vau"
  ]
  node [
    id 56
    label "Wave"
  ]
  node [
    id 57
    label "Web"
  ]
  node [
    id 58
    label "Whitetip"
  ]
  node [
    id 59
    label "Zap"
  ]
  node [
    id 60
    label "Zig"
  ]
  node [
    id 61
    label "Zipfel"
  ]
  edge [
    source 0
    target 10
  ]
  edge [
    source 0
    target 14
  ]
  edge [
    source 0
    target 15
  ]
  edge [
    source 0
    target 40
  ]
  edge [
    source 0
    target 42
  ]
  edge [
    source 0
    target 47
  ]
  edge [
    source 1
    target 17
  ]
  edge [
    source 1
    target 19
  ]
  edge [
    source 1
    target 26
  ]
  edge [
    source 1
    target 27
  ]
  edge [
    source 1
    target 28
  ]
  edge [
    source 1
    target 36
  ]
  edge [
    source 1
    target 41
  ]
  edge [
    source 1
    target 54
  ]
  edge [
    source 2
    target 10
  ]
  edge [
    source 2
    target 42
  ]
  edge [
    source 2
    target 44
  ]
  edge [
    source 2
    target 61
  ]
  edge [
    source 3
    target 8
  ]
  edge [
    source 3
    target 14
  ]
  edge [
    source 3
    target 59
  ]
  edge [
    source 4
    target 51
  ]
  edge [
    source 5
    target 9
  ]
  edge [
    source 5
    target 13
  ]
  edge [
    source 5
    target 56
  ]
  edge [
    source 5
    target 57
  ]
  edge [
    source 6
    target 9
  ]
  edge [
    source 6
    target 13
  ]
  edge [
    source 6
    target 17
  ]
  edge [
    source 6
    target 54
  ]
  edge [
    source 6
    target 56
  ]
  edge [
    source 6
    target 57
  ]
  edge [
    source 7
    target 19
  ]
  edge [
    source 7
    target 27
  ]
  edge [
    source 7
    target 30
  ]
  edge [
    source 7
    target 40
  ]
  edge [
    source 7
    target 54
  ]
  edge [
    source 8
    target 20
  ]
  edge [
    source 8
    target 28
  ]
  edge [
    source 8
    target 37
  ]
  edge [
    source 8
    target 45
  ]
  edge [
    source 8
    target 59
  ]
  edge [
    source 9
    target 13
  ]
  edge [
    source 9
    target 17
  ]
  edge [
    source 9
    target 32
  ]
  edge [
    source 9
    target 41
  ]
  edge [
    source 9
    target 57
  ]
  edge [
    source 10
    target 29
  ]
  edge [
    source 10
    target 42
  ]
  edge [
    source 10
    target 47
  ]
  edge [
    source 11
    target 51
  ]
  edge [
    source 12
    target 33
  ]
  edge [
    source 13
    target 17
  ]
  edge [
    source 13
    target 32
  ]
  edge [
    source 13
    target 41
  ]
  edge [
    source 13
    target 54
  ]
  edge [
    source 13
    target 57
  ]
  edge [
    source 14
    target 16
  ]
  edge [
    source 14
    target 24
  ]
  edge [
    source 14
    target 33
  ]
  edge [
    source 14
    target 34
  ]
  edge [
    source 14
    target 37
  ]
  edge [
    source 14
    target 38
  ]
  edge [
    source 14
    target 40
  ]
  edge [
    source 14
    target 43
  ]
  edge [
    source 14
    target 50
  ]
  edge [
    source 14
    target 52
  ]
  edge [
    source 15
    target 18
  ]
  edge [
    source 15
    target 24
  ]
  edge [
    source 15
    target 40
  ]
  edge [
    source 15
    target 45
  ]
  edge [
    source 15
    target 55
  ]
  edge [
    source 15
    target 59
  ]
  edge [
    source 16
    target 20
  ]
  edge [
    source 16
    target 33
  ]
  edge [
    source 16
    target 37
  ]
  edge [
    source 16
    target 38
  ]
  edge [
    source 16
    target 50
  ]
  edge [
    source 17
    target 22
  ]
  edge [
    source 17
    target 25
  ]
  edge [
    source 17
    target 27
  ]
  edge [
    source 17
    target 31
  ]
  edge [
    source 17
    target 57
  ]
  edge [
    source 18
    target 20
  ]
  edge [
    source 18
    target 21
  ]
  edge [
    source 18
    target 24
  ]
  edge [
    source 18
    target 29
  ]
  edge [
    source 18
    target 45
  ]
  edge [
    source 18
    target 51
  ]
  edge [
    source 19
    target 30
  ]
  edge [
    source 19
    target 54
  ]
  edge [
    source 20
    target 28
  ]
  edge [
    source 20
    target 36
  ]
  edge [
    source 20
    target 38
  ]
  edge [
    source 20
    target 44
  ]
  edge [
    source 20
    target 47
  ]
  edge [
    source 20
    target 50
  ]
  edge [
    source 21
    target 29
  ]
  edge [
    source 21
    target 33
  ]
  edge [
    source 21
    target 37
  ]
  edge [
    source 21
    target 45
  ]
  edge [
    source 21
    target 51
  ]
  edge [
    source 23
    target 36
  ]
  edge [
    source 23
    target 45
  ]
  edge [
    source 23
    target 51
  ]
  edge [
    source 24
    target 29
  ]
  edge [
    source 24
    target 45
  ]
  edge [
    source 24
    target 51
  ]
  edge [
    source 25
    target 26
  ]
  edge [
    source 25
    target 27
  ]
  edge [
    source 26
    target 27
  ]
  edge [
    source 28
    target 30
  ]
  edge [
    source 28
    target 47
  ]
  edge [
    source 29
    target 35
  ]
  edge [
    source 29
    target 43
  ]
  edge [
    source 29
    target 45
  ]
  edge [
    source 29
    target 51
  ]
  edge [
    source 29
    target 52
  ]
  edge [
    source 30
    target 42
  ]
  edge [
    source 30
    target 47
  ]
  edge [
    source 32
    target 60
  ]
  edge [
    source 33
    target 34
  ]
  edge [
    source 33
    target 37
  ]
  edge [
    source 33
    target 38
  ]
  edge [
    source 33
    target 40
  ]
  edge [
    source 33
    target 43
  ]
  edge [
    source 33
    target 50
  ]
  edge [
    source 34
    target 37
  ]
  edge [
    source 34
    target 44
  ]
  edge [
    source 34
    target 49
  ]
  edge [
    source 36
    target 37
  ]
  edge [
    source 36
    target 39
  ]
  edge [
    source 36
    target 40
  ]
  edge [
    source 36
    target 59
  ]
  edge [
    source 37
    target 40
  ]
  edge [
    source 37
    target 43
  ]
  edge [
    source 37
    target 45
  ]
  edge [
    source 37
    target 61
  ]
  edge [
    source 38
    target 43
  ]
  edge [
    source 38
    target 44
  ]
  edge [
    source 38
    target 52
  ]
  edge [
    source 38
    target 58
  ]
  edge [
    source 39
    target 57
  ]
  edge [
    source 40
    target 52
  ]
  edge [
    source 41
    target 54
  ]
  edge [
    source 41
    target 57
  ]
  edge [
    source 42
    target 47
  ]
  edge [
    source 42
    target 50
  ]
  edge [
    source 43
    target 46
  ]
  edge [
    source 43
    target 53
  ]
  edge [
    source 45
    target 50
  ]
  edge [
    source 45
    target 51
  ]
  edge [
    source 45
    target 59
  ]
  edge [
    source 46
    target 49
  ]
  edge [
    source 48
    target 57
  ]
  edge [
    source 50
    target 51
  ]
  edge [
    source 51
    target 55
  ]
  edge [
    source 53
    target 61
  ]
  edge [
    source 54
    target 57
  ]
]
